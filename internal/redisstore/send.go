package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// betweenKeys is the pause before a node is asked again that holds some keys of a
// topic already or still, while the others are on their way: a round trip or two.
const betweenKeys = 10 * time.Millisecond

// way is where a command goes.
type way struct {
	to *node
	// asking says that the node does not hold the slot yet, but imports it.
	asking bool
	// soon says to pause first.
	soon bool
}

// elsewhere tells where a node of a Cluster sent a command that it did not carry
// out, if it did.
func (f *fleet) elsewhere(from *node, err error) (w way, sent bool) {
	if err == nil || !f.sends {
		return way{}, false
	}
	switch {
	case redis.HasErrorPrefix(err, "MOVED "):
		if slot, addr, ok := directions(err, from); ok {
			f.doubted()
			return way{to: f.moved(slot, addr)}, true
		}
	case redis.HasErrorPrefix(err, "ASK "):
		if _, addr, ok := directions(err, from); ok {
			return way{to: f.guest(addr), asking: true}, true
		}
	case redis.HasErrorPrefix(err, "TRYAGAIN"):
		return way{to: from, soon: true}, true
	}
	return way{}, false
}

// directions reads "MOVED 3999 127.0.0.1:6381" or the same with ASK.
func directions(err error, from *node) (slot int, addr string, ok bool) {
	words := strings.Fields(err.Error())
	if len(words) < 3 {
		return 0, "", false
	}
	words = words[len(words)-3:]
	slot, e := strconv.Atoi(words[1])
	return slot, absolute(words[2], from.addr), e == nil && slot >= 0 && slot < slots
}

// isElsewhere tells whether err says that another node holds the key.
func isElsewhere(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED ") || redis.HasErrorPrefix(err, "ASK ")
}

// request is commands about the keys of one topic. They go to one node together.
type request struct {
	key      string
	commands []redis.Cmder
	way      way
}

func (r *request) err() error {
	for _, c := range r.commands {
		if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// send sends requests in a pipeline to each node at the same time. Where the node
// is sent them away it follows. Each command has its own result. first, where it
// is not nil, adds commands that concern a node rather than a topic.
func (s *Store) send(ctx context.Context, requests []request, first func(*node, redis.Pipeliner)) {
	c := s.fleet.chart()
	todo := make([]*request, 0, len(requests))
	for i := range requests {
		r := &requests[i]
		if r.way.to = c.of(r.key); r.way.to == nil {
			fail(r, errNoNode)
			continue
		}
		todo = append(todo, r)
	}
	if err := ctx.Err(); err != nil {
		for _, r := range todo {
			fail(r, err)
		}
		return
	}
	for round := 1; len(todo) > 0 && round <= rounds && ctx.Err() == nil; round++ {
		s.eachWay(todo, func(to *node, its []*request, several bool) {
			ctx, cancel := to.allowance(ctx, several)
			defer cancel()
			pipe := to.client.Pipeline()
			if first != nil {
				first(to, pipe)
			}
			for _, r := range its {
				for _, command := range r.commands {
					if r.way.asking {
						pipe.Do(ctx, "asking")
					}
					_ = pipe.Process(ctx, command) // queued
				}
			}
			if err := exec(ctx, pipe); err != nil { // each command has its own error
				s.doubt(err)
			}
		})
		again := todo[:0]
		soon := false
		for _, r := range todo {
			if w, sent := s.fleet.elsewhere(r.way.to, r.err()); sent {
				r.way = w
				soon = soon || w.soon
				again = append(again, r)
			}
		}
		if todo = again; soon && !sleep(ctx, betweenKeys) {
			return
		}
	}
}

// exec executes a pipeline. Where the library could not make a connection since
// Redis refused it, it sets no command's error, which would read like empty
// answers; here each has one.
func exec(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, c := range commands {
		if c.Err() != nil {
			return err
		}
	}
	for _, c := range commands {
		c.SetErr(err)
	}
	return err
}

func fail(r *request, err error) {
	for _, c := range r.commands {
		c.SetErr(err)
	}
}

// ailing is how long a node that fails is given where others are asked with it, so
// that their answers do not wait for it: time for one that has recovered.
const ailing = 300 * time.Millisecond

// allowance returns ctx for what is asked of a node, one of several or all.
func (n *node) allowance(ctx context.Context, several bool) (context.Context, context.CancelFunc) {
	if h := n.status.health(); several && h.Err != nil {
		return context.WithTimeout(ctx, ailing)
	}
	return ctx, func() {}
}

// eachWay calls work for each node with the requests that go to it, at the same
// time, and tells it whether there are several.
func (s *Store) eachWay(todo []*request, work func(to *node, its []*request, several bool)) {
	one := todo[0].way.to
	same := true
	for _, r := range todo {
		same = same && r.way.to == one
	}
	if same {
		work(one, todo, false)
		return
	}
	byNode := map[*node][]*request{}
	for _, r := range todo {
		byNode[r.way.to] = append(byNode[r.way.to], r)
	}
	var all sync.WaitGroup
	for to, its := range byNode {
		all.Go(func() { work(to, its, true) })
	}
	all.Wait()
}

// doubt has who holds what looked at soon, where an error gives reason: whatever
// is no answer, and answers of a node that lost its place.
func (s *Store) doubt(err error) {
	var answered redis.Error
	switch {
	case errors.Is(err, redis.Nil):
	case !errors.As(err, &answered), isElsewhere(err), refusesWrites(err), redis.HasErrorPrefix(err, "CLUSTERDOWN"):
		s.fleet.doubted()
	}
}
