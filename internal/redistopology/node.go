package redistopology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// dialTimeout leaves time for a second attempt if packets are dropped.
	dialTimeout = 2 * time.Second
	// maxInFlight is how many batches of writes are on the way to a far node at most.
	maxInFlight = 32
	// nearConnections is how many connections a near node has. Writes use one, since there is
	// one batch at a time; each read holds one for a round trip. More reads wait.
	nearConnections = 8
	poolSize        = nearConnections + maxInFlight
	// bufferBytes is the size of a connection's buffers, each way: a pipeline of 500 reads
	// or a batch of 500 writes fits.
	bufferBytes = 32 << 10
	// idleTimeout closes unused connections before firewalls do.
	idleTimeout = 5 * time.Minute
	// maxRetries is how often go-redis repeats a command whose connection broke. Every
	// command may be repeated safely.
	maxRetries = 2
)

// Node is one primary: the standalone Redis, the one that the Sentinels name, or one of a
// Cluster. A failover replaces the node by another.
type Node struct {
	// Fixed after creation.
	Addr   string // host:port
	Client *redis.Client
	State  any // the result of Options.NewNode

	topology *Topology
	settings *redis.Options
	created  time.Time
	clock    clock
	trips    trips

	connections connections
	sampling    chan struct{} // has an element while the clock is read
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
	n.connections.ended.Wait() // connecting fails now
}

// newClient returns a client whose commands are counted.
func (n *Node) newClient(settings *redis.Options) *redis.Client {
	client := redis.NewClient(settings)
	if count := n.topology.options.CountCommand; count != nil {
		client.AddHook(commandCounter(count))
	}
	return client
}

// subscriberReadInterval is the least time between two reads of a subscription's
// connection. Most of what a change costs an instance is waking goroutines for it. If
// changes of many topics come at a high rate they are read together; a reader of a page
// does not perceive the delay. At lower rates each is read at once.
const subscriberReadInterval = time.Millisecond

var errBroken = errors.New("the connection of the subscription broke")

// NewSubscriber returns a client for one subscription. It connects only once: go-redis
// would otherwise reconnect and resubscribe at a time that the caller does not know.
func (n *Node) NewSubscriber() *redis.Client {
	settings := *n.settings
	var used atomic.Bool
	dial := redis.NewDialer(&settings)
	settings.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errBroken
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &pacedConn{Conn: conn}, nil
	}
	return n.newClient(&settings)
}

// pacedConn is a connection that is read at most once in subscriberReadInterval. One
// goroutine reads.
type pacedConn struct {
	net.Conn
	lastRead time.Time
}

func (c *pacedConn) Read(p []byte) (int, error) {
	if wait := subscriberReadInterval - time.Since(c.lastRead); wait > 0 {
		time.Sleep(wait)
	}
	n, err := c.Conn.Read(p)
	c.lastRead = time.Now()
	return n, err
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

// commandCounter is a hook of go-redis that passes the names of commands to a function.
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

// Exec executes a pipeline and returns its first error. If no connection could be made,
// go-redis leaves the commands without an error, like empty answers; Exec sets it.
func Exec(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	if err != nil && !slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Err() != nil }) {
		for _, c := range commands {
			c.SetErr(err)
		}
	}
	return err
}

// WithDeadline returns ctx with a deadline: its own, or after [Timeout].
func WithDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, Timeout)
}
