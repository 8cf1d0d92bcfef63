package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// A hosted store may charge for each command. So all regular work of an instance at a node is one
// script call, the probe: it verifies secret and layout, compares rules, reads the revision of the
// settings and the seed mark, stores the heartbeat, writes as likes do, and publishes a message to
// this instance. See script/probe.lua. In a Cluster each part is a separate call, since the keys
// are in different slots; all calls go in one pipeline.

// probePart is a part of a probe.
type probePart struct {
	name string // in script/probe.lua
	keys []string
	args []any
	// review handles the reply. A redirect is no error: the key's slot moved just now.
	review func(reply any) error
}

// probeCalls are the calls of a probe in one pipeline.
type probeCalls struct {
	node  *node
	calls []*redis.Cmd
	parts [][]probePart // of each call
}

// appendProbe adds the calls of a probe to pipe. It publishes message to the instance's own
// channel unless it is empty.
func (n *node) appendProbe(ctx context.Context, pipe redis.Pipeliner, message string, parts []probePart) *probeCalls {
	p := &probeCalls{node: n}
	if !n.store.topology.IsCluster() {
		p.append(ctx, pipe, message, parts)
		return p
	}
	p.append(ctx, pipe, message, nil)
	for i := range parts {
		p.append(ctx, pipe, "", parts[i:i+1])
	}
	return p
}

func (p *probeCalls) append(ctx context.Context, pipe redis.Pipeliner, message string, parts []probePart) {
	s := p.node.store
	channel := ""
	if message != "" {
		channel = s.names.probe(s.instance)
	}
	var keys []string
	args := []any{channel, message}
	for _, part := range parts {
		keys = append(keys, part.keys...)
		args = append(append(args, part.name, len(part.keys), len(part.args)), part.args...)
	}
	p.calls = append(p.calls, probeScript.AppendCall(ctx, pipe, keys, args...))
	p.parts = append(p.parts, parts)
}

// lostScripts reports whether the node did not know the script.
func (p *probeCalls) lostScripts() bool {
	for _, call := range p.calls {
		if redis.HasErrorPrefix(call.Err(), "NOSCRIPT") {
			return true
		}
	}
	return false
}

// answered reports whether the node answered.
func (p *probeCalls) answered() bool { return p.calls[0].Err() == nil }

// review stores the node's clock and passes each reply to its part. It returns the first error.
func (p *probeCalls) review(received time.Time) error {
	var failed error
	for i, call := range p.calls {
		replies, err := call.Slice()
		if err != nil {
			if !p.isRedirect(err) {
				failed = cmp.Or(failed, err)
			}
			continue
		}
		clock, err := parseClock(replies)
		if err != nil {
			return err
		}
		p.node.AddClockSample(clock, received)
		for j, reply := range replies[2:] {
			if j < len(p.parts[i]) {
				failed = cmp.Or(failed, p.reviewPart(p.parts[i][j], reply))
			}
		}
	}
	return failed
}

// reviewPart passes a reply to its part. The script returns a reply in a list, and an error as a
// text.
func (p *probeCalls) reviewPart(part probePart, reply any) error {
	switch reply := reply.(type) {
	case string:
		if err := replyError(reply); !p.isRedirect(err) {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		return nil
	case []any:
		if len(reply) == 1 {
			return part.review(reply[0])
		}
	}
	return fmt.Errorf("unexpected reply of the script %s: %v", probeScript.Name, reply)
}

// isRedirect reports whether a Cluster moved the slot of a key.
func (p *probeCalls) isRedirect(err error) bool {
	return redistopology.IsRedirect(err) && p.node.store.topology.IsCluster()
}

// parseClock parses the time with which replies begin.
func parseClock(replies []any) (time.Time, error) {
	if len(replies) >= 2 {
		seconds, _ := replies[0].(string)
		micros, _ := replies[1].(string)
		s, err1 := strconv.ParseInt(seconds, 10, 64)
		us, err2 := strconv.ParseInt(micros, 10, 64)
		if err1 == nil && err2 == nil {
			return time.Unix(s, us*1000), nil
		}
	}
	return time.Time{}, fmt.Errorf("unexpected reply of the script %s: %v", probeScript.Name, replies)
}

// replyError is an error of Redis that a script returns as a text. If a list has an error, such as
// OOM, go-redis does not read the rest of the list, and takes it for the reply to the next command.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError implements [redis.Error].
func (replyError) RedisError() {}

// replyHash returns the fields of a hash.
func replyHash(reply any) map[string]string {
	list, _ := reply.([]any)
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		fields[name], _ = list[i+1].(string)
	}
	return fields
}

// has reports whether the node has key. Without a Cluster the primary has all keys.
func (n *node) has(key string) bool {
	s := n.store
	return n.replica == nil && (!s.topology.IsCluster() || s.topology.SlotMap().Node(key) == n.Node)
}

// verifyParts returns the parts of a probe that verify the node: they store layout and secret if the
// store has none, and compare them and the rules of metrics. In a Cluster each node verifies the
// keys whose slots it has.
func (n *node) verifyParts() (parts []probePart) {
	s := n.store
	if n.replica != nil {
		return n.replica.verifyParts()
	}
	if n.has(s.names.layout()) {
		parts = append(parts, probePart{"keep", []string{s.names.layout()}, []any{layoutVersion, layoutVersion}, reviewLayout})
	}
	if n.has(s.names.secret()) {
		value, expected := any(s.secret.get()), any(s.secret.expected())
		if s.options.RequireSecret && len(s.options.Secret) == 0 {
			value = ""
		}
		parts = append(parts, probePart{"keep", []string{s.names.secret()}, []any{value, expected}, s.reviewSecret})
	}
	if n.has(s.names.rules()) {
		parts = append(parts, probePart{"hash", []string{s.names.rules()}, nil, func(reply any) error { return s.compareRules(replyHash(reply)) }})
	}
	return parts
}

func reviewLayout(reply any) error {
	if layout, _ := reply.(string); layout != layoutVersion {
		return conflictf("the store has layout %q, this version needs %q: use the version that wrote the store, or another prefix", layout, layoutVersion)
	}
	return nil
}

func (s *Store) reviewSecret(reply any) error {
	if secret, ok := reply.(string); ok {
		return s.secret.verify([]byte(secret))
	}
	return ErrNoSecret
}

// followParts returns the parts of a probe that discover changes of settings and lost seeds.
func (n *node) followParts() (parts []probePart) {
	s := n.store
	if n.has(s.names.settings()) {
		parts = append(parts, s.settingsPart())
	}
	if n.has(s.names.seedMark()) {
		began := s.seeds.begin()
		parts = append(parts, probePart{"score", []string{s.names.seedMark()}, []any{seedMarkMember}, func(reply any) error {
			return s.seeds.review(began, reply)
		}})
	}
	return parts
}

// writePart returns the part of a probe that writes to a slot of the node, as likes do. So the
// instance knows that the node refuses writes before a like fails, and when it accepts writes again.
func (n *node) writePart() []probePart {
	key := n.scratch().probe
	if key == "" {
		return nil // it holds no slots
	}
	return []probePart{{"write", []string{key}, []any{probeKeyTTL.Milliseconds()}, func(any) error { return nil }}}
}

// heartbeatPart returns the part of a probe that stores the heartbeat of this instance.
func (n *node) heartbeatPart() []probePart {
	s := n.store
	carried := s.carried.Load()
	now, ok := n.Now()
	if carried == nil || !ok || !n.has(s.names.heartbeats()) {
		return nil
	}
	heartbeat := carried.next()
	keys := []string{s.names.heartbeats(), s.names.activity(strconv.FormatInt(now.Unix()/int64(redistopology.Day/time.Second), 10))}
	return []probePart{{"heartbeat", keys, heartbeatArgs(heartbeat, n.heartbeatTTL()), func(reply any) error {
		running, ok := reply.(int64)
		if !ok {
			return fmt.Errorf("store the heartbeat: %v", reply)
		}
		s.isAlone.Store(running <= 1)
		carried.stored(heartbeat)
		return nil
	}}}
}

// carriedHeartbeats are the functions of [Store.CarryHeartbeats].
type carriedHeartbeats struct {
	next   func() tally.Heartbeat
	stored func(tally.Heartbeat)
}

// CarryHeartbeats implements [tally.HeartbeatCarrier].
func (s *Store) CarryHeartbeats(next func() tally.Heartbeat, stored func(tally.Heartbeat)) {
	s.carried.Store(&carriedHeartbeats{next, stored})
	for _, n := range s.nodes() {
		notify(n.pace.soon) // the next probe may be a minute away
	}
}

// IsAlone reports whether the last probe found no other instance that uses the store, and no
// broadcast of another instance arrived since.
func (s *Store) IsAlone() bool { return s.isAlone.Load() }

func parseMark(reply any) (int64, error) {
	text, ok := reply.(string)
	if !ok {
		return 0, nil
	}
	mark, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(mark) {
		return 0, fmt.Errorf("%w: %q", errNotNumber, text)
	}
	return int64(mark), nil
}
