package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
	ctx, cancel := redistopology.WithDeadline(ctx)
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

// check checks whether the node can be used. Each step has its own timeout: over a slow
// network the round trips of all steps take longer than one.
func (n *node) check(ctx context.Context) (warnings []string, err error) {
	for _, step := range []func(context.Context) error{
		n.handshake,
		n.LoadScripts,
		func(ctx context.Context) (err error) {
			warnings, err = n.checkServer(ctx)
			return err
		},
		n.checkRights,
		n.settleRules,
	} {
		ctx, cancel := redistopology.WithDeadline(ctx)
		err := step(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return warnings, nil
}

// handshake verifies the node and reads its clock.
func (n *node) handshake(ctx context.Context) error {
	if err := n.verify(ctx, n.Client.Pipeline()); err != nil {
		n.store.topology.Suspect(err)
		return err
	}
	return n.SampleClock(ctx)
}

// verifyConnection verifies a new connection: the server at that address may have changed.
// Nothing is written under another secret or layout, or to a replica.
func (s *Store) verifyConnection(ctx context.Context, at *redistopology.Node, pipe redis.Pipeliner) error {
	n := nodeOf(at)
	err := n.verify(ctx, pipe)
	var conflict *conflictError
	if errors.As(err, &conflict) {
		n.status.setFailed(err)
	}
	return err
}

// verify stores layout and secret if the store has none, and compares them.
func (n *node) verify(ctx context.Context, pipe redis.Pipeliner) error {
	result := n.store.appendVerify(ctx, pipe)
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	return result()
}

// appendVerify adds the commands of a verification to pipe; result returns its error after
// the pipeline was executed. In a Cluster, each node verifies the keys whose slots it has.
func (s *Store) appendVerify(ctx context.Context, pipe redis.Pipeliner) (result func() error) {
	setLayout := pipe.Do(ctx, "set", s.names.layout(), layoutVersion, "nx")
	command := []any{"set", s.names.secret(), s.secret.get(), "nx"}
	if s.options.RequireSecret && len(s.options.Secret) == 0 {
		command = []any{"exists", s.names.secret()}
	}
	setSecret := pipe.Do(ctx, command...)
	layout := pipe.Get(ctx, s.names.layout())
	secret := pipe.Get(ctx, s.names.secret())
	rules := pipe.HGetAll(ctx, s.names.rules())
	return func() error {
		for _, err := range []error{setLayout.Err(), setSecret.Err()} {
			if redis.HasErrorPrefix(err, "READONLY") || redistopology.IsRedirect(err) && !s.topology.IsCluster() {
				return err
			}
		}
		if err := readErr(layout.Err(), setLayout.Err()); err != nil && !redistopology.IsRedirect(err) {
			var conflict *conflictError
			if errors.As(err, &conflict) {
				return conflict // of the connection's verification
			}
			return fmt.Errorf("store the layout: %w", err)
		} else if err == nil && layout.Val() != layoutVersion {
			return conflictf("the store has layout %q, this version needs %q: use the version that wrote the store, or another prefix", layout.Val(), layoutVersion)
		}
		if stored, err := rules.Result(); err == nil {
			if err := s.compareRules(stored); err != nil {
				return err
			}
		} else if !redistopology.IsRedirect(err) {
			return fmt.Errorf("read the rules of metrics: %w", err)
		}
		if err := readErr(secret.Err(), setSecret.Err()); err != nil {
			if redistopology.IsRedirect(err) {
				return nil
			}
			if s.options.RequireSecret && errors.Is(err, redis.Nil) {
				return ErrNoSecret
			}
			return fmt.Errorf("store the secret: %w", err)
		}
		return s.secret.verify([]byte(secret.Val()))
	}
}

// readErr returns why a value cannot be read after SET NX: if it is missing, the reason is
// the error of SET.
func readErr(read, set error) error {
	if errors.Is(read, redis.Nil) && set != nil && !errors.Is(set, redis.Nil) {
		return set
	}
	return read
}

// The oldest version of Redis with all commands that are used.
const minMajor, minMinor = 6, 2

// checkServer checks version, eviction and persistence. Hosted servers may forbid INFO.
func (n *node) checkServer(ctx context.Context) (warnings []string, err error) {
	text, err := n.Client.Info(ctx).Result()
	if err != nil {
		var refused redis.Error
		if !errors.As(err, &refused) {
			return nil, fmt.Errorf("read INFO: %w", err)
		}
		return []string{"INFO is forbidden, so eviction policy and persistence could not be checked: set the policy to noeviction and turn the append-only file on"}, nil
	}
	info := parseInfo(text)
	if version := info["redis_version"]; tooOld(version) {
		return nil, conflictf("Redis %s is too old: %d.%d or later is needed", version, minMajor, minMinor)
	}
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		if !n.store.options.AllowEviction {
			return nil, conflictf("Redis's maxmemory-policy is %s, which deletes counts when memory is short: set it to noeviction, or allow it with --allow-eviction", policy)
		}
		warnings = append(warnings, "maxmemory-policy is "+policy+": counts are deleted when memory is short")
	}
	if info["aof_enabled"] == "0" {
		warnings = append(warnings, "the append-only file is off: a restart of Redis may lose counts (set appendonly yes)")
	}
	return warnings, nil
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func tooOld(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return false // unknown
	}
	return a < minMajor || a == minMajor && b < minMinor
}

// checkRights tries every command, in scripts and outside, on keys of this instance, and
// reports those that are refused. The session checks the right to subscribe.
func (n *node) checkRights(ctx context.Context) error {
	s, scratch := n.store, n.scratch()
	if scratch.hash == "" {
		return nil // it holds no slots
	}
	calls := []redistopology.Call{redistopology.NewCall(checkScript, scratch.hash, scratch.sorted, scratch.other)}
	calls[0].Append(scratch.channel)
	s.topology.Call(ctx, calls)
	if calls[0].Err != nil {
		return fmt.Errorf("run scripts: %w", calls[0].Err)
	}
	var refused []string
	list, _ := calls[0].Reply.([]any)
	for _, item := range list {
		refused = append(refused, fmt.Sprint(item))
	}
	pipe := n.Client.Pipeline()
	pipe.HMGet(ctx, scratch.hash, "n")
	pipe.HGetAll(ctx, scratch.hash)
	pipe.ZRange(ctx, scratch.sorted, 0, 0)
	pipe.GetRange(ctx, scratch.other, 0, 0)
	pipe.HLen(ctx, scratch.hash)
	pipe.XRevRangeN(ctx, scratch.other, "+", "-", 1)
	pipe.Scan(ctx, 0, s.names.countPattern(tally.Scope{}), 1)
	pipe.Publish(ctx, s.names.broadcast(), "")
	pipe.Publish(ctx, s.names.probe(s.instance), "")
	if s.topology.Replicas() > 0 {
		pipe.Do(ctx, "wait", 0, 1) // for 0 replicas, at most 1 ms
	}
	commands := pipe.Cmds()
	err := redistopology.Exec(ctx, pipe)
	var answered redis.Error
	if err != nil && !errors.As(err, &answered) {
		return fmt.Errorf("try commands: %w", err)
	}
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

// scratch returns keys for checks in a slot of the node.
func (n *node) scratch() scratchKeys {
	m := n.store.topology.SlotMap()
	// On average it takes as many tries as there are nodes; a node with few slots may get
	// none.
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

// explain adds what to do to errors that people read.
func explain(err error) error {
	var coded *tally.Error
	if errors.As(err, &coded) && coded.Err != nil {
		err = coded.Err // Health says the rest
	}
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("the user in the URL of the store lacks a right: %w", err)
	case redis.HasErrorPrefix(err, "READONLY"):
		return fmt.Errorf("this Redis is a read-only replica: the URL of the store must name its primary, or with redis+sentinel:// the Sentinels: %w", err)
	case redistopology.IsRedirect(err):
		return fmt.Errorf("this Redis is a node of a Cluster: the URL of the store must be redis+cluster://: %w", err)
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("the store is out of memory and takes no writes (raise maxmemory; the policy noeviction is right): %w", err)
	case redis.HasErrorPrefix(err, "MISCONF"):
		return fmt.Errorf("the store cannot write to its disk and takes no writes: %w", err)
	case redis.HasErrorPrefix(err, "NOREPLICAS"):
		return fmt.Errorf("the store takes no writes, since it has fewer good replicas than its min-replicas-to-write: %w", err)
	case redis.HasErrorPrefix(err, "CLUSTERDOWN"):
		return fmt.Errorf("the Cluster does not cover all slots and takes no writes: %w", err)
	case redis.HasErrorPrefix(err, "LOADING"):
		return fmt.Errorf("the store is still loading its data: %w", err)
	}
	return err
}

// lacksRight reports whether err says that the user lacks a right. In scripts Redis does
// not say which.
func lacksRight(err error) bool {
	var answered redis.Error
	return redis.HasErrorPrefix(err, "NOPERM") || errors.As(err, &answered) &&
		(strings.Contains(answered.Error(), "can't run this command") || strings.Contains(answered.Error(), "ACL failure"))
}
