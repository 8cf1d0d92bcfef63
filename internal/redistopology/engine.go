package redistopology

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// maxAttempts bounds how often an operation is sent that Redis did not carry out:
	// it was redirected, Redis had lost the scripts, its clock was set, or a connection
	// took too long.
	maxAttempts = 4
	// maxPausedAttempts bounds attempts after a pause: half a second, so that a topic
	// whose keys are stuck between two nodes does not hold up its batch.
	maxPausedAttempts = 50
	// retryPause is the pause before such an attempt: a round trip or two.
	retryPause = 10 * time.Millisecond
	// minRemaining is the time that must remain for another attempt.
	minRemaining = 5 * time.Millisecond
	// failingTimeout is how long a failing node may delay a read of several nodes: time
	// for one that has recovered.
	failingTimeout = 300 * time.Millisecond
)

// Request is commands about one key, which go to one node together. Each command has its
// own result.
type Request struct {
	route
	Key      string
	Commands []redis.Cmder
}

// Err returns the first error of the commands but for missing values.
func (r *Request) Err() error {
	for _, c := range r.Commands {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// Send sends requests, in one pipeline to each node, to all nodes at the same time. It
// follows redirects. Each command has its own result. It returns by ctx's deadline, or
// after [Timeout] if it has none.
func (t *Topology) Send(ctx context.Context, requests []Request) {
	ctx, cancel := WithDeadline(ctx)
	defer cancel()
	all := make([]operation, len(requests))
	for i := range requests {
		all[i] = &requests[i]
	}
	t.run(ctx, all, false)
}

// operation is what the engine sends: a [Request] or a [Call].
type operation interface {
	path() *route
	slotKey() string
	// queue adds the commands to the attempt's pipeline.
	queue(ctx context.Context, a *attempt)
	// review looks at the results, and reports whether another attempt may succeed.
	review(ctx context.Context, a *attempt) (again bool)
	// fail sets the error of what was not sent.
	fail(err error)
}

// route is where an operation goes.
type route struct {
	node *Node
	// asking says that the node only imports the slot: ASKING precedes each command.
	asking bool
	// pause says to wait for retryPause before the next attempt.
	pause bool
}

// Node returns the node that an operation was sent to last; nil if none.
func (r *route) Node() *Node { return r.node }

func (r *route) path() *route { return r }

// attempt is one pipeline to one node.
type attempt struct {
	node      *Node
	pipe      redis.Pipeliner
	durable   bool         // a call is durable
	confirmed func() error // with a durable call: whether replicas confirmed

	// For calls: their deadline and its day in the node's clock, as texts too.
	deadline  any
	today     int64
	todayText string

	// Set by Call.review.
	scriptsMissing, clockWrong bool
}

// run sends operations, all of them calls or none, until each succeeded, failed for good,
// or has used its attempts. The time of ctx is bounded.
func (t *Topology) run(ctx context.Context, all []operation, calls bool) {
	m := t.SlotMap()
	rest := all[:0]
	for _, o := range all {
		o.path().node = m.Node(o.slotKey())
		if err := ctx.Err(); err != nil {
			o.fail(err)
		} else if o.path().node == nil {
			o.fail(errNoNode)
		} else {
			rest = append(rest, o)
		}
	}
	end, _ := ctx.Deadline()
	for n := 1; len(rest) > 0; n++ {
		rest = t.sendByNode(ctx, rest, calls)
		pause := slices.ContainsFunc(rest, func(o operation) bool { return o.path().pause })
		if n >= maxAttempts && !pause || n >= maxPausedAttempts || ctx.Err() != nil || time.Until(end) < minRemaining {
			return // each has the error of its last attempt
		}
		if pause {
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryPause):
			}
		}
	}
}

// sendByNode sends the operations of each node at the same time, and returns those that
// are to be sent again.
func (t *Topology) sendByNode(ctx context.Context, all []operation, calls bool) (again []operation) {
	first := all[0].path().node
	if !slices.ContainsFunc(all, func(o operation) bool { return o.path().node != first }) {
		return first.send(ctx, all, calls)
	}
	byNode := map[*Node][]operation{}
	for _, o := range all {
		byNode[o.path().node] = append(byNode[o.path().node], o)
	}
	var sends sync.WaitGroup
	var mu sync.Mutex
	for n, some := range byNode {
		sends.Go(func() {
			ctx := ctx
			if !calls && t.options.Failing != nil && t.options.Failing(n) {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, failingTimeout)
				defer cancel()
			}
			some := n.send(ctx, some, calls)
			mu.Lock()
			defer mu.Unlock()
			again = append(again, some...)
		})
	}
	sends.Wait()
	return again
}

// send sends operations to the node in one pipeline, and returns those that are to be
// sent again.
func (n *Node) send(ctx context.Context, all []operation, calls bool) (again []operation) {
	a := attempt{node: n, pipe: n.Client.Pipeline()}
	if calls {
		deadline, err := n.deadline(ctx)
		if err != nil {
			n.topology.Suspect(err)
			for _, o := range all {
				o.fail(err)
			}
			if timedOutEarly(ctx, err) {
				return all
			}
			return nil
		}
		a.deadline = strconv.FormatInt(deadline, 10)
		a.today = deadline / Day.Microseconds()
		a.todayText = strconv.FormatInt(a.today, 10)
	}
	for _, o := range all {
		o.queue(ctx, &a)
	}
	if a.durable {
		a.confirmed = n.AppendWait(ctx, a.pipe)
	}
	_ = Exec(ctx, a.pipe) // each command has its own error
	again = all[:0]
	for _, o := range all {
		if o.review(ctx, &a) {
			again = append(again, o)
		}
	}
	if a.clockWrong {
		n.clock.reset()
	}
	if a.scriptsMissing {
		n.topology.scriptReloads.Add(1)
		if err := n.LoadScripts(ctx); err != nil {
			for _, o := range again {
				o.fail(err)
			}
			return nil
		}
	}
	return again
}

func (r *Request) slotKey() string { return r.Key }

func (r *Request) fail(err error) {
	for _, c := range r.Commands {
		c.SetErr(err)
	}
}

func (r *Request) queue(ctx context.Context, a *attempt) {
	for _, c := range r.Commands {
		c.SetErr(nil) // of the attempt before
		if r.asking {
			a.pipe.Do(ctx, "asking")
		}
		_ = a.pipe.Process(ctx, c) // queued
	}
}

func (r *Request) review(_ context.Context, a *attempt) (again bool) {
	err := r.Err()
	if a.node.topology.redirect(&r.route, err) {
		return true
	}
	a.node.topology.Suspect(err)
	return false
}

// redirect changes the route of a command that a node of a Cluster did not carry out, and
// reports whether err is such a redirect.
func (t *Topology) redirect(r *route, err error) bool {
	if err == nil || !t.IsCluster() {
		return false
	}
	switch {
	case redis.HasErrorPrefix(err, "MOVED "):
		if slot, addr, ok := parseRedirect(err, r.node.Addr); ok {
			t.RefreshSoon()
			*r = route{node: t.assignSlot(slot, addr)}
			return true
		}
	case redis.HasErrorPrefix(err, "ASK "):
		if _, addr, ok := parseRedirect(err, r.node.Addr); ok {
			*r = route{node: t.node(addr), asking: true}
			return true
		}
	case redis.HasErrorPrefix(err, "TRYAGAIN"): // some of the keys have moved
		r.pause = true // the node is still the one to ask
		return true
	}
	return false
}

// parseRedirect parses "MOVED 3999 127.0.0.1:6381", or the same with ASK, that the node
// at source answered.
func parseRedirect(err error, source string) (slot int, addr string, ok bool) {
	words := strings.Fields(err.Error())
	if len(words) < 3 {
		return 0, "", false
	}
	words = words[len(words)-3:]
	slot, e := strconv.Atoi(words[1])
	return slot, completeAddr(words[2], source), e == nil && slot >= 0 && slot < slotCount
}

// IsRedirect reports whether err says that another node holds the key.
func IsRedirect(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")
}

// Suspect refreshes the slot map soon if err suggests that it is out of date: Redis did
// not answer, or answers like a node that was replaced.
func (t *Topology) Suspect(err error) {
	if err == nil || errors.Is(err, redis.Nil) {
		return
	}
	var answered redis.Error
	if !errors.As(err, &answered) || IsRedirect(err) || RefusesWrites(err) || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		t.RefreshSoon()
	}
}
