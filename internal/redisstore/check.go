package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// conflictError says what in the configuration forbids to use the store.
type conflictError struct{ text string }

func conflictf(format string, args ...any) error {
	return &conflictError{text: fmt.Sprintf(format, args...)}
}

func (e *conflictError) Error() string { return e.text }

// Connect learns who holds what, connects to all nodes and checks each once:
// secret, layout, rights, eviction, persistence. [Store.Health] tells the result
// from then on.
func (s *Store) Connect(ctx context.Context) error {
	ctx, cancel := redistopology.WithDeadline(ctx)
	defer cancel()
	if err := s.topology.Refresh(ctx); err != nil {
		return err
	}
	return everyNode(s.nodes(), func(n *node) error { return n.checkAndRecord(ctx) })
}

// checkAndRecord checks the node, and shows the result in Health.
func (n *node) checkAndRecord(ctx context.Context) error {
	return n.recordCheck(n.check(ctx))
}

// recordCheck shows the result of a check.
func (n *node) recordCheck(warnings []string, err error) error {
	if err != nil {
		err = n.explain(err)
		n.status.setFailed(err)
		return err
	}
	n.markUsable(warnings)
	return nil
}

// markUsable says that the node was found usable.
func (n *node) markUsable(warnings []string) {
	n.store.wasUsable.Store(true)
	n.status.setUsable(warnings)
}

// check has the time for a few round trips for each of its steps: over a slow network
// all of them would not fit, and a node that was lost would not be found again.
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

// handshake greets the node and looks at its clock.
func (n *node) handshake(ctx context.Context) error {
	if err := n.verify(ctx, n.Client.Pipeline()); err != nil {
		n.store.topology.Suspect(err)
		return err
	}
	return n.SampleClock(ctx)
}

// verifyConnection verifies a new connection before anything else is sent on it: whatever
// server is at that address now, nothing is written there under another secret or layout,
// or to a replica.
func (s *Store) verifyConnection(ctx context.Context, at *redistopology.Node, pipe redis.Pipeliner) error {
	n := stateOf(at)
	err := n.verify(ctx, pipe)
	var conflict *conflictError
	if errors.As(err, &conflict) {
		n.status.setFailed(err)
	}
	return err
}

// verify offers layout and secret to a store that has none, and compares.
func (n *node) verify(ctx context.Context, pipe redis.Pipeliner) error {
	result := n.store.appendVerify(ctx, pipe)
	_ = redistopology.Exec(ctx, pipe) // each command has its own error
	return result()
}

// appendVerify adds to pipe what greets; result says, once it was executed, whether the
// store is ours. In a Cluster each of the two is kept by the node that has its slot,
// and compared there.
func (s *Store) appendVerify(ctx context.Context, pipe redis.Pipeliner) (result func() error) {
	offerLayout := pipe.Do(ctx, "set", s.names.layout(), layoutVersion, "nx")
	offer := []any{"set", s.names.secret(), s.secret.get(), "nx"}
	if s.options.SecretKept && len(s.options.Secret) == 0 {
		offer = []any{"exists", s.names.secret()}
	}
	offerSecret := pipe.Do(ctx, offer...)
	layout := pipe.Get(ctx, s.names.layout())
	secret := pipe.Get(ctx, s.names.secret())
	rules := pipe.HGetAll(ctx, s.names.rules())
	return func() error {
		for _, err := range []error{offerLayout.Err(), offerSecret.Err()} {
			if redis.HasErrorPrefix(err, "READONLY") || redistopology.IsRedirect(err) && !s.topology.IsCluster() {
				return err
			}
		}
		if err := readErr(layout.Err(), offerLayout.Err()); err != nil && !redistopology.IsRedirect(err) {
			var conflict *conflictError
			if errors.As(err, &conflict) {
				return conflict // met when the connection was made
			}
			return fmt.Errorf("offer the layout: %w", err)
		} else if err == nil && layout.Val() != layoutVersion {
			return conflictf("the store has layout %q, this program knows %q: another version of it, or another prefix, is needed", layout.Val(), layoutVersion)
		}
		if kept, err := rules.Result(); err == nil {
			if err := s.rules.compare(s.catalog, kept); err != nil {
				return err
			}
		} else if !redistopology.IsRedirect(err) {
			return fmt.Errorf("read the rules of metrics: %w", err)
		}
		if err := readErr(secret.Err(), offerSecret.Err()); err != nil {
			if redistopology.IsRedirect(err) {
				return nil
			}
			if s.options.SecretKept && errors.Is(err, redis.Nil) {
				return conflictf("the store keeps no secret yet, and none is given")
			}
			return fmt.Errorf("offer the secret: %w", err)
		}
		return s.secret.verify([]byte(secret.Val()))
	}
}

// readErr returns why a value that was offered cannot be read.
func readErr(read, offered error) error {
	if errors.Is(read, redis.Nil) && offered != nil && !errors.Is(offered, redis.Nil) {
		return offered // such as a replica that takes no writes
	}
	return read
}

// Oldest Redis that has all that is used: 6.2.
const leastMajor, leastMinor = 6, 2

// checkServer reads what the server says of itself. Hosted ones may forbid it.
func (n *node) checkServer(ctx context.Context) (warnings []string, err error) {
	text, err := n.Client.Info(ctx).Result()
	if err != nil {
		var refused redis.Error
		if !errors.As(err, &refused) {
			return nil, fmt.Errorf("read INFO: %w", err)
		}
		return []string{"INFO is forbidden, so eviction policy and persistence were not checked: the policy must be noeviction, the append-only file on"}, nil
	}
	info := parseInfo(text)
	if version := info["redis_version"]; tooOld(version) {
		return nil, conflictf("Redis %s is too old: %d.%d or later is needed", version, leastMajor, leastMinor)
	}
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		if !n.store.options.AllowEviction {
			return nil, conflictf("Redis's maxmemory-policy is %s, which forgets counts when memory is short: set it to noeviction, or allow it with --allow-eviction", policy)
		}
		warnings = append(warnings, "maxmemory-policy is "+policy+": counts are forgotten when memory is short")
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
		return false // not for us to say
	}
	return a < leastMajor || a == leastMajor && b < leastMinor
}

// checkRights tries every command, in scripts and out of them, on names of the
// instance's own, and names those that are refused. Whether subscribing is allowed
// shows when the feed subscribes.
func (n *node) checkRights(ctx context.Context) error {
	s, scratch := n.store, n.scratch()
	if scratch.hash == "" {
		return nil // it holds no slots, so nothing is asked of it
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
		pipe.Do(ctx, "wait", 0, 1) // for no replica, and no longer than a millisecond
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
		return fmt.Errorf("the store refuses what is needed; %s", strings.Join(refused, "; "))
	}
	return nil
}

// scratch is names that only the instance's own checks use, in a slot of the node.
func (n *node) scratch() scratch {
	c := n.store.topology.SlotMap()
	// Some of the node's slots is met after as many tries as there are nodes, on
	// average; a node with few of them may have to do without.
	for i := range 10_000 {
		if names := n.store.names.scratch(n.store.instance, i); c.Node(names.hash) == n.Node {
			return names
		}
	}
	return scratch{}
}

// explain is [explain], with what the node was offered where it refuses that.
func (n *node) explain(err error) error {
	if redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOAUTH") {
		return fmt.Errorf("%s refuses %s: %w", n.Addr, n.store.topology.Login(), err)
	}
	return explain(err)
}

// explain adds what helps to errors that a person will read.
func explain(err error) error {
	var coded *tally.Error
	if errors.As(err, &coded) && coded.Err != nil {
		err = coded.Err // the rest is said by the health itself
	}
	switch {
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("the user in the URL of the store lacks a right: %w", err)
	case redis.HasErrorPrefix(err, "READONLY"):
		return fmt.Errorf("this Redis is a read-only replica, or has become one: the URL of the store must name its primary, or redis+sentinel:// those who know which that is: %w", err)
	case redistopology.IsRedirect(err):
		return fmt.Errorf("this Redis is a node of a Cluster: the URL of the store must be redis+cluster://: %w", err)
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("the store is out of memory and takes no writes (raise maxmemory; the policy noeviction is right): %w", err)
	case redis.HasErrorPrefix(err, "MISCONF"):
		return fmt.Errorf("the store cannot write to its disk and takes no writes: %w", err)
	case redis.HasErrorPrefix(err, "NOREPLICAS"):
		return fmt.Errorf("the store takes no writes, since it has fewer good replicas than its min-replicas-to-write: %w", err)
	case redis.HasErrorPrefix(err, "CLUSTERDOWN"):
		return fmt.Errorf("the Cluster is incomplete and takes no writes: %w", err)
	case redis.HasErrorPrefix(err, "LOADING"):
		return fmt.Errorf("the store is still reading its data: %w", err)
	}
	return err
}

// lacksRight reports whether err says that the user may not do something. Within a script
// Redis does not say what.
func lacksRight(err error) bool {
	var answered redis.Error
	return redis.HasErrorPrefix(err, "NOPERM") || errors.As(err, &answered) &&
		(strings.Contains(answered.Error(), "can't run this command") || strings.Contains(answered.Error(), "ACL failure"))
}
