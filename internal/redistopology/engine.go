package redistopology

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxAttempts bounds how often an operation is sent that Redis did not execute: it was
	// redirected, Redis had lost the scripts, its clock was set, or connecting took too long.
	maxAttempts = 4
	// maxPausedAttempts bounds the attempts of an operation that pauses between them, to half
	// a second: a topic whose keys are on two nodes must not delay its batch for longer.
	maxPausedAttempts = 50
	// retryPause is the pause before such an attempt: one or two round trips.
	retryPause = 10 * time.Millisecond
	// minRemaining is the time that must remain for another attempt.
	minRemaining = 5 * time.Millisecond
	// failingTimeout bounds how long a failing node delays a read of several nodes. It is
	// enough for a node that has recovered.
	failingTimeout = 300 * time.Millisecond
)

// NewClient returns a client that sends each command to the node of its key, and a pipeline
// to all of its nodes at the same time. A command without a key goes to the node of the one
// before it. The client follows redirects. It takes at most [Options.Timeout]. Each command of a
// pipeline has its own error. If usable returns an error, the client sends nothing.
func (t *Topology) NewClient(usable func() error) *redis.Client {
	client := redis.NewClient(t.url.settingsFor("")) // it never connects: the hook sends
	client.AddHook(router{t, usable})
	return client
}

// router is a hook of go-redis that sends commands through a topology.
type router struct {
	topology *Topology
	usable   func() error
}

func (r router) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { return nil, errNoNode }
}

func (r router) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		return r.send(ctx, []redis.Cmder{command})
	}
}

func (r router) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return r.send
}

// send sends commands and returns their first error. In a pipeline a missing value is no error.
func (r router) send(ctx context.Context, commands []redis.Cmder) error {
	if err := r.usable(); err != nil {
		for _, c := range commands {
			c.SetErr(err)
		}
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.topology.options.Timeout)
	defer cancel()
	operations := make([]operation, len(commands))
	key := ""
	for i, c := range commands {
		key = keyOf(c, key)
		operations[i] = operation{key: key, command: c}
	}
	r.topology.run(ctx, operations)
	for _, c := range commands {
		if err := c.Err(); err != nil && (len(commands) == 1 || !errors.Is(err, redis.Nil)) {
			return err
		}
	}
	return nil
}

// keyOf returns the key of a command, or the one before if it has none.
func keyOf(command redis.Cmder, before string) string {
	args := command.Args()
	at := 1
	if command.Name() == "memory" { // MEMORY USAGE key
		at = 2
	}
	if at >= len(args) {
		return before
	}
	switch key := args[at].(type) {
	case string:
		return key
	case *string:
		return *key
	}
	return ""
}

// operation is a command or a call of a script, to be sent to the node of its key.
type operation struct {
	key     string
	command redis.Cmder // for a call, that of the last attempt
	call    *Call       // nil for a command

	node *Node
	// asking is true if the node imports the slot: then ASKING precedes the command.
	asking bool
	// pause is true if the next attempt has to wait for retryPause.
	pause bool
}

// needsClock reports whether the operation has arguments that depend on the node's clock.
func (o *operation) needsClock() bool {
	return o.call != nil && (o.call.script.deadline || len(o.call.dayKeys) > 0)
}

// fail sets the error of an operation that was not sent.
func (o *operation) fail(err error) {
	if o.call != nil {
		o.call.Reply, o.call.Err = nil, err
	} else {
		o.command.SetErr(err)
	}
}

// attempt is one pipeline to one node.
type attempt struct {
	node      *Node
	pipe      redis.Pipeliner
	confirmed func() error // whether replicas confirmed; set if a call is durable

	// Set if an operation needs the clock: the deadline and its day, in the node's clock, also as
	// texts.
	deadline     int64
	deadlineText any
	today        int64
	todayText    string

	// Set by Call.review.
	scriptsMissing, clockWrong bool
}

// run sends operations until each succeeded, failed with a permanent error, or has used its
// attempts. It sends the operations for one node in one pipeline, to all nodes at the same time.
// ctx must have a deadline.
func (t *Topology) run(ctx context.Context, operations []operation) {
	m := t.SlotMap()
	rest := make([]*operation, 0, len(operations))
	for i := range operations {
		o := &operations[i]
		o.node = m.Node(o.key)
		if err := ctx.Err(); err != nil {
			o.fail(err)
		} else if o.node == nil {
			o.fail(errNoNode)
		} else {
			rest = append(rest, o)
		}
	}
	end, _ := ctx.Deadline()
	for n := 1; len(rest) > 0; n++ {
		rest = t.sendByNode(ctx, rest)
		pause := slices.ContainsFunc(rest, func(o *operation) bool { return o.pause })
		if pause {
			time.Sleep(min(retryPause, time.Until(end)))
		}
		if n >= maxAttempts && !pause || n >= maxPausedAttempts || ctx.Err() != nil || time.Until(end) < minRemaining {
			return // each has the error of its last attempt
		}
	}
}

// sendByNode sends operations to all of their nodes at the same time, and returns those to send
// again.
func (t *Topology) sendByNode(ctx context.Context, operations []*operation) (again []*operation) {
	first := operations[0].node
	if !slices.ContainsFunc(operations, func(o *operation) bool { return o.node != first }) {
		return first.send(ctx, operations)
	}
	byNode := map[*Node][]*operation{}
	for _, o := range operations {
		byNode[o.node] = append(byNode[o.node], o)
	}
	var sends sync.WaitGroup
	var mu sync.Mutex
	for n, operations := range byNode {
		sends.Go(func() {
			ctx, cancel := ctx, context.CancelFunc(func() {})
			if t.options.Failing != nil && !slices.ContainsFunc(operations, (*operation).needsClock) && t.options.Failing(n) {
				ctx, cancel = context.WithTimeout(ctx, failingTimeout)
			}
			defer cancel()
			rest := n.send(ctx, operations)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, rest...)
		})
	}
	sends.Wait()
	return again
}

// send sends operations to the node in one pipeline, and returns those to send again.
func (n *Node) send(ctx context.Context, operations []*operation) (again []*operation) {
	a := attempt{node: n, pipe: n.Client.Pipeline()}
	if slices.ContainsFunc(operations, (*operation).needsClock) {
		deadline, err := n.deadline(ctx)
		if err != nil {
			n.topology.Suspect(err)
			for _, o := range operations {
				o.fail(err)
			}
			if timedOutEarly(ctx, err) {
				return operations
			}
			return nil
		}
		a.deadline, a.deadlineText = deadline, strconv.FormatInt(deadline, 10)
		a.today = deadline / Day.Microseconds()
		a.todayText = strconv.FormatInt(a.today, 10)
	}
	durable := false
	commands := make([]redis.Cmder, 0, len(operations))
	for _, o := range operations {
		if o.asking {
			commands = append(commands, redis.NewCmd(ctx, "asking"))
		}
		if o.call != nil {
			o.command = redis.NewCmd(ctx, o.call.argsAt(&a)...)
			durable = durable || o.call.Durable
		}
		o.command.SetErr(nil) // of the attempt before
		commands = append(commands, o.command)
	}
	_ = a.pipe.BatchProcess(ctx, commands...) // queued
	if durable {
		a.confirmed = n.AppendWait(ctx, a.pipe)
	}
	release := n.acquire(ctx)
	if release == nil {
		for _, o := range operations {
			o.fail(redis.ErrPoolTimeout)
		}
		return nil
	}
	began := time.Now()
	err := Exec(ctx, a.pipe) // each command has its own error too
	release()
	if !isUnsent(err) {
		took := time.Since(began)
		if err == nil {
			n.AddRoundTrip(took)
		}
		if n.topology.options.RoundTrip != nil {
			n.topology.options.RoundTrip(took)
		}
	}
	again = operations[:0]
	for _, o := range operations {
		if o.review(ctx, &a) {
			again = append(again, o)
		}
	}
	if a.clockWrong {
		n.ForgetClock()
	}
	if a.scriptsMissing {
		if err := n.ReloadScripts(ctx); err != nil {
			for _, o := range again {
				o.fail(err)
			}
			return nil
		}
	}
	return again
}

// review reads the result of an attempt, and reports whether another attempt may succeed.
func (o *operation) review(ctx context.Context, a *attempt) (again bool) {
	if o.call != nil {
		o.call.setResult(o.command.(*redis.Cmd), a.node)
	}
	err := o.command.Err()
	if a.node.topology.redirect(o, err) {
		return true
	}
	if o.call != nil {
		again, pause := o.call.review(ctx, a)
		o.pause = o.pause || pause
		return again
	}
	a.node.topology.Suspect(err)
	return false
}

// redirect changes the node of an operation if err is a redirect of a Cluster, such as
// "MOVED 3999 127.0.0.1:6381", the same with ASK, or TRYAGAIN. It reports whether it is one.
func (t *Topology) redirect(o *operation, err error) bool {
	switch {
	case err == nil || !t.IsCluster():
	case IsRedirect(err):
		words := strings.Fields(err.Error())
		if len(words) < 3 {
			return false
		}
		addr := completeAddr(words[2], o.node.Addr)
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return false
		}
		o.node, o.asking, o.pause = t.node(addr), words[0] == "ASK", false
		if !o.asking {
			t.RefreshSoon()
		}
		return true
	case redis.HasErrorPrefix(err, "TRYAGAIN"): // some of the keys have moved
		// The next attempt goes to the same node.
		o.pause = o.call == nil || !o.call.dropOptional()
		return true
	}
	return false
}

// IsRedirect reports whether err means that another node holds the key.
func IsRedirect(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")
}

// Suspect makes Run refresh the slot map soon if err suggests that it is out of date: Redis did
// not answer, or answered like a node that was replaced.
func (t *Topology) Suspect(err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	if !errors.As(err, new(redis.Error)) || IsRedirect(err) || RefusesWrites(err) || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		t.RefreshSoon()
	}
}
