package redistopology

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxInFlight bounds the batches of writes in flight to a far node.
	maxInFlight = 32
	// nearConnections is how many connections a near node has. Writes use one, since there is
	// one batch at a time. Each read uses one for a round trip; more reads wait.
	nearConnections = 8
	poolSize        = nearConnections + maxInFlight
	// bufferBytes is the size of each of a connection's two buffers: a pipeline of 500 reads
	// or a batch of 500 writes fits.
	bufferBytes = 32 << 10
	// idleTimeout closes unused connections before firewalls do.
	idleTimeout = 5 * time.Minute
	// maxRetries is how often go-redis repeats a command whose connection broke. Every
	// command may be repeated safely.
	maxRetries = 2
)

// Node is one primary: the standalone Redis, the one that the Sentinels name, or one of a
// Cluster. After a failover there is another Node.
type Node struct {
	// Fixed after creation.
	Addr   string // host:port
	Client *redis.Client
	State  any // the result of Options.NewNode

	topology *Topology
	settings *redis.Options
	created  time.Time
	clock    clock
	sampling chan struct{} // has a token while the clock is read

	roundTrips  roundTrips
	connections connections
}

func (t *Topology) newNode(addr string) *Node {
	n := &Node{Addr: addr, topology: t, settings: t.url.settingsFor(addr), created: time.Now(), sampling: make(chan struct{}, 1)}
	n.connections.near = make(chan struct{}, nearConnections)
	if t.options.NewNode != nil {
		n.State = t.options.NewNode(n)
	}
	n.settings.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if t.options.Verify == nil {
			return nil
		}
		return t.options.Verify(ctx, n, conn.Pipeline())
	}
	n.Client = n.newClient(n.settings)
	return n
}

// close closes all connections of the node.
func (n *Node) close() {
	_ = n.Client.Close()
	n.connections.running.Wait() // connecting fails now
}

// newClient returns a client whose commands are counted.
func (n *Node) newClient(settings *redis.Options) *redis.Client {
	client := redis.NewClient(settings)
	if count := n.topology.options.CountCommand; count != nil {
		client.AddHook(commandCounter(count))
	}
	return client
}

// AppendScripts adds the commands to pipe that load all scripts into the node's cache. loaded
// returns their first error.
func (n *Node) AppendScripts(ctx context.Context, pipe redis.Pipeliner) (loaded func() error) {
	var loads []*redis.StringCmd
	for _, script := range n.topology.options.Scripts {
		loads = append(loads, script.AppendLoad(ctx, pipe))
	}
	return func() error {
		for _, load := range loads {
			if err := load.Err(); err != nil {
				return fmt.Errorf("load scripts: %w", err)
			}
		}
		return nil
	}
}

// ReloadScripts loads all scripts into a node that has lost them.
func (n *Node) ReloadScripts(ctx context.Context) error {
	n.topology.scriptReloads.Add(1)
	pipe := n.Client.Pipeline()
	loaded := n.AppendScripts(ctx, pipe)
	_ = Exec(ctx, pipe) // each command has its own error
	return loaded()
}

// commandCounter is a hook of go-redis that calls a function with the name of each command.
type commandCounter func(command string)

func (c commandCounter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c commandCounter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		c(command.Name())
		return next(ctx, command)
	}
}

func (c commandCounter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		for _, command := range commands {
			c(command.Name())
		}
		return next(ctx, commands)
	}
}

// Exec executes a pipeline and returns its first error. If there was no connection, go-redis
// leaves the commands without an error, as if Redis had answered. Exec sets their errors.
func Exec(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	if err != nil && !slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Err() != nil }) {
		for _, c := range commands {
			c.SetErr(err)
		}
	}
	return err
}

// WithDeadline returns ctx with a deadline: its own, or after [Options.Timeout].
func (t *Topology) WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, t.options.Timeout)
}
