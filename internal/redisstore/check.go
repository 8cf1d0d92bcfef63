package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// conflictError is a conflict of configuration: the store must not be used.
type conflictError struct{ text string }

func conflictf(format string, args ...any) error {
	return &conflictError{text: fmt.Sprintf(format, args...)}
}

func (e *conflictError) Error() string { return e.text }

// ErrNoSecret is the conflict that [Options.RequireSecret] makes.
var ErrNoSecret = conflictf("the store has no secret yet, and none is configured")

// Connect reads the slot map, connects to all nodes and checks each: secret, layout, rights,
// eviction, persistence. [Store.Health] reports the result too.
func (s *Store) Connect(ctx context.Context) error {
	ctx, cancel := s.topology.WithDeadline(ctx)
	defer cancel()
	if err := s.topology.Refresh(ctx); err != nil {
		return err
	}
	var checks errgroup.Group
	nodes := s.nodes()
	for _, n := range nodes {
		checks.Go(func() error {
			err := n.recordCheck(n.check(ctx))
			if err != nil && len(nodes) > 1 {
				err = fmt.Errorf("%s: %w", n.Addr, err)
			}
			return err
		})
	}
	return checks.Wait()
}

// recordCheck stores the result of a check in the node's health.
func (n *node) recordCheck(warnings []string, err error) error {
	if err != nil {
		err = n.explain(err)
		n.status.setFailed(err)
		return err
	}
	n.markUsable(warnings)
	return nil
}

func (n *node) markUsable(warnings []string) {
	n.store.wasUsable.Store(true)
	n.status.setUsable(warnings)
}

// checkAgain is check for a node whose subscription is rebuilt. It does not repeat the check of
// rights: a hosted service that closes idle connections may charge for the commands.
func (n *node) checkAgain(ctx context.Context) (warnings []string, err error) {
	if !n.isChecked.Load() || !n.store.rules.compared.Load() {
		return n.check(ctx)
	}
	return n.runChecks(ctx, false)
}

// check checks whether the node can be used.
func (n *node) check(ctx context.Context) (warnings []string, err error) {
	n.isChecked.Store(false)
	if warnings, err = n.runChecks(ctx, true); err == nil {
		n.isChecked.Store(true)
	}
	return warnings, err
}

// runChecks verifies the node, reads its clock, and checks the server; with all it also loads
// the scripts, checks the rights and compares the rules of metrics. All commands go in one
// pipeline, so that a far store takes one round trip after the connection was verified.
func (n *node) runChecks(parent context.Context, all bool) (warnings []string, err error) {
	s := n.store
	ctx, cancel := s.topology.WithDeadline(parent)
	defer cancel()
	n.ForgetClock()
	pipe := n.Client.Pipeline()
	loaded, permitted, rules := func() error { return nil }, func() error { return nil }, (*ruleReads)(nil)
	if all {
		loaded = n.AppendScripts(ctx, pipe)
	} else {
		probeScript.AppendLoad(ctx, pipe)
	}
	verified := n.appendProbe(ctx, pipe, "", append(n.verifyParts(), n.followParts()...))
	info := redis.NewInfoCmd(ctx, "info")
	_ = pipe.Process(ctx, info) // queued
	if all {
		permitted = n.appendRights(ctx, pipe)
		if !s.topology.IsCluster() {
			rules = s.appendRuleReads(ctx, pipe)
		}
	}
	err = redistopology.Exec(ctx, pipe)
	received := time.Now()
	if err != nil && !errors.As(err, new(redis.Error)) {
		s.topology.Suspect(err)
		return nil, err
	}
	if err := loaded(); err != nil {
		return nil, err
	}
	err = verified.review(received)
	n.reportConflict(err)
	s.topology.Suspect(err)
	if err == nil {
		warnings, err = n.reviewServer(info)
	}
	if err = cmp.Or(err, permitted()); err == nil && all {
		err = n.reconcileRules(parent, rules)
	}
	if err != nil {
		return nil, err
	}
	return warnings, nil
}

// verifyConnection verifies a new connection, since there may be another server at the address. So
// nothing is written under another secret or layout, or to a replica.
func (s *Store) verifyConnection(ctx context.Context, at *redistopology.Node, pipe redis.Pipeliner) error {
	n := nodeOf(at)
	load := probeScript.AppendLoad(ctx, pipe) // in one pipeline: this takes one round trip
	calls := n.appendProbe(ctx, pipe, "", n.verifyParts())
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	if err := load.Err(); err != nil {
		return fmt.Errorf("load scripts: %w", err)
	}
	err := calls.review(time.Now())
	n.reportConflict(err)
	return err
}

// The oldest version of Redis with all commands that are used.
const minMajor, minMinor = 6, 2

// reviewServer checks version, eviction and persistence. Hosted servers may forbid INFO.
func (n *node) reviewServer(reply *redis.InfoCmd) (warnings []string, err error) {
	info, err := reply.Result()
	if err != nil {
		if !errors.As(err, new(redis.Error)) {
			return nil, fmt.Errorf("read INFO: %w", err)
		}
		n.setRun(run{})
		return []string{"INFO is forbidden, so eviction policy and persistence could not be checked: set the policy to noeviction and turn the append-only file on"}, nil
	}
	version := info["Server"]["redis_version"]
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err == nil && (major < minMajor || major == minMajor && minor < minMinor) {
		return nil, conflictf("Redis %s is too old: %d.%d or later is needed", version, minMajor, minMinor)
	}
	n.setRun(n.parseRun(info["Server"]))
	policy, persistence := info["Memory"]["maxmemory_policy"], info["Persistence"]["aof_enabled"]
	if policy == "" {
		warnings = append(warnings, "INFO does not tell the maxmemory-policy: set it to noeviction, so that no counts are deleted when memory is short")
	}
	if persistence == "" {
		warnings = append(warnings, "INFO does not tell whether counts survive a restart of Redis: turn persistence on (appendonly yes)")
	}
	if strings.HasPrefix(policy, "allkeys-") {
		if !n.store.options.AllowEviction {
			return nil, conflictf("Redis's maxmemory-policy is %s, which deletes counts when memory is short: set it to noeviction, or allow it with --allow-eviction", policy)
		}
		warnings = append(warnings, "maxmemory-policy is "+policy+": counts are deleted when memory is short")
	}
	if persistence == "0" {
		warnings = append(warnings, "the append-only file is off: a restart of Redis may lose counts (set appendonly yes)")
	}
	return warnings, nil
}

// appendRights adds every command to pipe that scripts and the store use, on keys of this
// instance, and removes the keys. permitted returns an error that names the refused commands. A
// user has the same rights in scripts. The session checks the right to subscribe.
func (n *node) appendRights(ctx context.Context, pipe redis.Pipeliner) (permitted func() error) {
	s, scratch := n.store, n.scratch()
	if scratch.hash == "" {
		return func() error { return nil } // it holds no slots
	}
	const lifetime = time.Minute // if a key cannot be removed
	before := pipe.Len()
	pipe.Time(ctx)
	pipe.HSet(ctx, scratch.hash, "a", "1")
	pipe.PExpire(ctx, scratch.hash, lifetime)
	pipe.PExpireAt(ctx, scratch.hash, time.Now().Add(lifetime))
	pipe.HGet(ctx, scratch.hash, "a")
	pipe.HMGet(ctx, scratch.hash, "a")
	pipe.HGetAll(ctx, scratch.hash)
	pipe.HLen(ctx, scratch.hash)
	pipe.HScan(ctx, scratch.hash, 0, "", 1)
	pipe.HIncrBy(ctx, scratch.hash, "b", 1)
	pipe.HDel(ctx, scratch.hash, "a", "b")
	pipe.ZAdd(ctx, scratch.sorted, redis.Z{Score: 1, Member: "a"})
	pipe.ZCard(ctx, scratch.sorted)
	pipe.ZScore(ctx, scratch.sorted, "a")
	pipe.ZRange(ctx, scratch.sorted, 0, -1)
	pipe.ZRem(ctx, scratch.sorted, "a")
	pipe.Set(ctx, scratch.other, "1", lifetime)
	pipe.Get(ctx, scratch.other)
	pipe.Append(ctx, scratch.other, "a")
	pipe.SetRange(ctx, scratch.other, 0, "b")
	pipe.GetRange(ctx, scratch.other, 0, 0)
	pipe.Unlink(ctx, scratch.other)
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: scratch.other, Values: []string{"a", "1"}})
	pipe.XRevRangeN(ctx, scratch.other, "+", "-", 1)
	pipe.Unlink(ctx, scratch.other)
	pipe.Scan(ctx, 0, s.names.countPattern(tally.Scope{}), 1)
	for _, channel := range []string{scratch.channel, s.names.broadcast(), s.names.probe(s.instance)} {
		pipe.Publish(ctx, channel, "")
	}
	if s.topology.Replicas() > 0 {
		pipe.Do(ctx, "wait", 0, 1) // for 0 replicas, at most 1 ms
	}
	commands := pipe.Cmds()[before:]
	return func() error {
		var refused []string
		for _, c := range commands {
			if err := c.Err(); err != nil && !errors.Is(err, redis.Nil) {
				refused = append(refused, strings.ToUpper(c.Name())+": "+err.Error())
			}
		}
		if len(refused) > 0 {
			return fmt.Errorf("the store refuses commands that are needed: %s", strings.Join(refused, "; "))
		}
		return nil
	}
}

// scratch returns keys for checks in a slot of the node.
func (n *node) scratch() scratchKeys {
	m := n.store.topology.SlotMap()
	// On average this takes as many attempts as there are nodes. It may find no keys for a node
	// with few slots.
	for i := range 10_000 {
		if names := n.store.names.scratch(n.store.instance, i); m.Node(names.hash) == n.Node {
			return names
		}
	}
	return scratchKeys{}
}

// explain is [explain], and describes refused credentials.
func (n *node) explain(err error) error {
	if redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH") {
		return fmt.Errorf("%s refuses %s: %w", n.Addr, n.store.topology.Login(), err)
	}
	return explain(err)
}

// explain adds the meaning of an error of Redis for the operator.
func explain(err error) error {
	var coded *tally.Error
	if errors.As(err, &coded) && coded.Err != nil {
		err = coded.Err // Health says the rest
	}
	for _, e := range explanations {
		if redis.HasErrorPrefix(err, e.prefix) {
			return fmt.Errorf("%s: %w", e.text, err)
		}
	}
	return err
}

// explanations are what errors of Redis mean, by the beginning of the error.
var explanations = []struct{ prefix, text string }{
	{"NOPERM", "the user in the URL of the store lacks a right"},
	{"READONLY", "this Redis is a read-only replica: the URL of the store must name its primary, or with redis+sentinel:// the Sentinels"},
	{"CROSSSLOT", "this Redis is a node of a Cluster: the URL of the store must be redis+cluster://"},
	{"MOVED ", "this Redis is a node of a Cluster: the URL of the store must be redis+cluster://"},
	{"ASK ", "this Redis is a node of a Cluster: the URL of the store must be redis+cluster://"},
	{"OOM", "the store is out of memory and takes no writes (raise maxmemory; the policy noeviction is right)"},
	{"MISCONF", "the store cannot write to its disk and takes no writes"},
	{"NOREPLICAS", "the store takes no writes, since it has fewer good replicas than its min-replicas-to-write"},
	{"CLUSTERDOWN", "the Cluster does not cover all slots and takes no writes"},
	{"LOADING", "the store is still loading its data"},
}

// lacksRight reports whether err means that the user lacks a right. For scripts Redis does not
// name the right.
func lacksRight(err error) bool {
	var answered redis.Error
	return redis.HasErrorPrefix(err, "NOPERM") || errors.As(err, &answered) &&
		(strings.Contains(answered.Error(), "can't run this command") || strings.Contains(answered.Error(), "ACL failure"))
}
