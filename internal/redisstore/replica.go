package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// A replica near this instance saves the round trip to a far primary. It is a node with a session
// of its own, see replicasession.go. While it is the source, topics are followed there, and numbers
// are read there (near.go); else at the primary. It is the source if
//
//   - it has the secret of the store, and
//   - the probes that the primary publishes come back from it, each within maxSilence after the
//     primary answered. Redis replicates publications after the writes before them. So when a
//     probe comes back, all writes before the probe have been read or received.
//
// While the primary is away the replica is the source with the first condition alone, and all
// numbers are stale.

// maxRelayed bounds the awaited probes. In maxSilence there are at most 3.
const maxRelayed = 16

// replica is the Redis of [Options.ReplicaURL].
type replica struct {
	// Fixed after newReplica.
	store    *Store
	topology *redistopology.Topology
	node     *node
	reader   reader

	mu sync.Mutex
	// Guarded by mu.
	established bool           // a session verified the data and subscribed
	proven      bool           // a probe of the primary's present session came back
	source      bool           // topics are followed here
	awaited     []relayedProbe // sent ones that did not come back, oldest first
	lastLag     time.Duration  // of the last probe that came back
}

// relayedProbe is a probe that the primary publishes and the replica relays.
type relayedProbe struct {
	message        string
	sent, answered time.Time // answered is zero until the primary answered
}

func (s *Store) newReplica(url string) (*replica, error) {
	if s.topology.IsCluster() {
		return nil, errors.New("a replica in a Redis Cluster has only the slots of one node; the store must be redis://, rediss:// or redis+sentinel://")
	}
	r := &replica{store: s}
	topology, err := redistopology.Open(url, redistopology.Options{
		RootCAs: s.options.RootCAs, Scripts: []*redistopology.Script{probeScript, readScript, topGainsScript}, Logger: s.options.Logger, Timeout: s.options.Timeout,
		NewNode: func(n *redistopology.Node) any {
			r.node = s.newNode(n).(*node)
			r.node.replica = r
			r.node.status = newStatus(s.options.Logger.With("replica", n.Addr), replicaMessages)
			return r.node
		},
		Verify:       s.verifyConnection,
		CountCommand: s.stats.commands.count,
	})
	if err != nil {
		return nil, fmt.Errorf("the URL of the replica: %w", err)
	}
	r.topology = topology
	r.reader = reader{s, topology, topology.NewClient(s.checkUsable)}
	switch {
	case !topology.IsStandalone():
		err = errors.New("it is one server close to this instance: redis://HOST:PORT/DB or rediss://HOST:PORT/DB; Sentinels do not tell which replica is close")
	case topology.Database() != s.topology.Database():
		err = fmt.Errorf("it names the database %d and the store %d; both must be the same", topology.Database(), s.topology.Database())
	case topology.Replicas() > 0:
		err = errors.New("it has the setting wait, which belongs to the URL of the store")
	}
	if err != nil {
		topology.Close()
		return nil, fmt.Errorf("the URL of the replica: %w", err)
	}
	return r, nil
}

// isSource reports whether topics are followed at the replica; false for nil.
func (r *replica) isSource() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source
}

// isProven reports whether no change can be missed at the replica.
func (r *replica) isProven() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.source && r.proven
}

// update calls change, which changes the state, and then decides whether the replica is the source.
func (r *replica) update(change func()) {
	r.mu.Lock()
	before := r.source
	change()
	r.source = r.established && (r.source || r.proven || r.store.isPrimaryAway())
	changed := r.source != before
	r.mu.Unlock()
	if changed {
		notify(r.store.feedLive) // topics move
	}
}

// establish records that a session begins to follow topics, or ends.
func (r *replica) establish(established bool) {
	r.update(func() { r.established, r.proven, r.awaited = established, false, nil })
}

// primaryEnded records that the session of the primary ended: its probes are not awaited any more.
func (r *replica) primaryEnded() {
	if r != nil {
		r.update(func() { r.proven, r.awaited = false, nil })
	}
}

// send records that the primary is asked to publish a probe.
func (r *replica) send(message string) {
	if r == nil || message == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.established && len(r.awaited) < maxRelayed {
		r.awaited = append(r.awaited, relayedProbe{message: message, sent: time.Now()})
	}
}

// answer records that the primary published a probe.
func (r *replica) answer(message string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.awaited {
		if r.awaited[i].message == message {
			r.awaited[i].answered = time.Now()
		}
	}
}

// receive records that a probe came back, and reports whether it was awaited.
func (r *replica) receive(message string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.awaited {
		if p.message == message {
			r.lastLag = time.Since(p.sent)
			r.awaited = r.awaited[i+1:] // earlier ones were lost or not published
			return true
		}
	}
	return false
}

// silence returns how long a probe that the primary published has been awaited; 0 if none is.
func (r *replica) silence() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.awaited {
		if !p.answered.IsZero() {
			return time.Since(p.answered)
		}
	}
	return 0
}

// lag returns the time that the last probe took from this instance to the primary, to the replica,
// and back.
func (r *replica) lag() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastLag
}

// isPrimaryAway reports whether the primary was usable and is not now.
func (s *Store) isPrimaryAway() bool {
	n := s.primary()
	return s.wasUsable.Load() && (n == nil || n.status.health().Err != nil)
}

// primary returns the node of a store without a Cluster; nil if none is known.
func (s *Store) primary() *node {
	if n := s.topology.SlotMap().Single(); n != nil {
		return nodeOf(n)
	}
	return nil
}

// verifyParts returns the parts of a probe that verify the replica without writing.
func (r *replica) verifyParts() []probePart {
	s := r.store
	return []probePart{
		{"keep", []string{s.names.secret()}, []any{"", ""}, func(reply any) error {
			switch stored, ok := reply.(string); {
			case !ok:
				return errors.New("it has no data of the store: it is empty, or another Redis")
			case stored != string(s.secret.get()):
				return errors.New("it has the data of another store (another secret): it replicates another primary")
			}
			return nil
		}},
		{"keep", []string{s.names.layout()}, []any{"", ""}, reviewLayout},
	}
}

// explainSilence returns why probes do not come back, as the replica reports.
func (r *replica) explainSilence(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, replicaReadTimeout)
	defer cancel()
	info, err := r.node.Client.InfoMap(ctx, "replication").Result()
	fields := info["Replication"]
	at := fields["master_host"] + ":" + fields["master_port"]
	switch {
	case err != nil:
		return fmt.Errorf("publications of the primary do not arrive, and INFO replication fails: %w", err)
	case fields["role"] != "slave":
		return fmt.Errorf("it is not a replica: its role is %s", strings.ReplaceAll(fields["role"], "master", "primary"))
	case fields["master_sync_in_progress"] == "1":
		return fmt.Errorf("it is reading all data of its primary %s", at)
	case fields["master_link_status"] != "up":
		return fmt.Errorf("it has no connection to its primary %s", at)
	}
	return fmt.Errorf("publications of the primary do not arrive: it lags by more than %s, or its primary %s is another one", maxSilence, at)
}

// health returns the state of the replica; nil without one.
func (r *replica) health() *tally.ReplicaHealth {
	if r == nil {
		return nil
	}
	err := r.node.status.health().Err
	r.mu.Lock()
	defer r.mu.Unlock()
	return &tally.ReplicaHealth{IsUsed: r.source, Lag: r.lastLag, Err: err}
}

// samples returns the metrics of the replica.
func (r *replica) samples() []tally.Sample {
	h := r.health()
	used := 0.0
	if h.IsUsed {
		used = 1
	}
	return []tally.Sample{
		{Name: "redis_replica_used", Help: "1 if numbers are read and followed at the replica, else 0.", Value: used},
		{Name: "redis_replica_lag_seconds", Help: "Time from sending the last probe through the primary to its arrival by the replica.", Value: h.Lag.Seconds()},
	}
}
