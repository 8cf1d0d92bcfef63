package tally

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// answerWithin is how long a write may take until it is answered, whatever
	// the store does: the contract's 3 s less what the edge needs itself.
	answerWithin = 2800 * time.Millisecond
	// leastTime is what a write must have left when its batch begins. Less would
	// give the whole batch too short a deadline.
	leastTime = 400 * time.Millisecond

	// Bounds of what a lane sends to its store at once, and of what waits for it.
	// What comes when the queue is full is refused as store_unavailable.
	maxBatchTopics = 256
	maxQueued      = 1 << 16
	// maxScan bounds how much of the queue is looked at to form a round, while
	// those that submit wait.
	maxScan = 4096
)

// MaxBatchWrites is the most writes that one [Batch] carries.
const MaxBatchWrites = 512

// ErrWouldCreate says that a write was left out because its topic does not exist
// and the assertion may not create it.
var ErrWouldCreate = errors.New("the topic does not exist")

// Assertion says what a visitor contributes to a topic from now on.
type Assertion struct {
	Topic   Topic
	Visitor string
	Amount  int64
	// Client is where it comes from, for the journal and the blocked ranges; the zero
	// Addr for one's own servers.
	Client netip.Addr
	// MayCreate says that the assertion may bring its topic into being.
	MayCreate bool
}

// Result answers an [Assertion]. Mine, Changed and Created are as of that write,
// Change as of the end of its batch.
type Result struct {
	Change  Change
	Mine    int64
	Changed bool
	Created bool
}

// Service applies the rules of metrics and gathers the writes that are in flight
// together into batches. It is safe for concurrent use.
type Service struct {
	store    Store
	catalog  *Catalog
	identity atomic.Pointer[identity] // nil until the store told the secret
	settings atomic.Pointer[settings] // nil until they were read
	settingsReader
	bySite  map[string]*atomic.Int64 // contributions that changed; fixed
	writes  writeCounters
	pending sync.Pool // of *pendingWrite that nobody waits for

	mu    sync.Mutex
	lanes map[string]*lane
}

// NewService returns a service over store for the topics of catalog.
func NewService(store Store, catalog *Catalog) *Service {
	s := &Service{store: store, catalog: catalog, lanes: map[string]*lane{}, bySite: map[string]*atomic.Int64{}}
	s.settingsReader = settingsReader{reading: make(chan struct{}, 1)}
	s.settingsReader.store, _ = store.(SettingsStore)
	for _, site := range catalog.Sites() {
		s.bySite[site] = &atomic.Int64{}
	}
	s.pending.New = func() any { return newPendingWrite() }
	return s
}

// Catalog returns the sites and metrics that the service knows.
func (s *Service) Catalog() *Catalog { return s.catalog }

// Assert makes an assertion and returns when the store has it, within 3 s. It
// does not end early with ctx: an assertion that has begun is carried through.
// Errors: [CodeBadVisitor], [CodeBadAmount], [CodeReadOnlyMetric],
// [CodeBlocked], [CodeStoreUnavailable], [ErrWouldCreate].
func (s *Service) Assert(ctx context.Context, a Assertion) (Result, error) {
	if err := s.catalog.Rule(a.Topic).Validate(a.Amount); err != nil {
		return Result{}, err
	}
	if err := ValidateVisitor(a.Visitor); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, Unavailable(err)
	}
	id, err := s.identify()
	if err != nil {
		return Result{}, err
	}
	write := s.pending.Get().(*pendingWrite)
	defer s.pending.Put(write)
	if err := s.carryThrough(ctx, id, a, write); err != nil {
		if AsError(err).Code == CodeStoreUnavailable {
			s.writes.failed.Add(1)
		}
		return Result{}, err
	}
	if write.write.WouldCreate {
		return Result{}, ErrWouldCreate
	}
	s.writes.acknowledged.Add(1)
	if write.write.Changed {
		s.bySite[a.Topic.Site()].Add(1)
	}
	return Result{
		Change:  write.change,
		Mine:    write.write.Amount,
		Changed: write.write.Changed,
		Created: write.write.Created,
	}, nil
}

// carryThrough sends the assertion until the store takes it, under settings that are
// current there, or answerWithin is over.
func (s *Service) carryThrough(ctx context.Context, id *identity, a Assertion, write *pendingWrite) error {
	deadline := time.Now().Add(answerWithin)
	current := s.settings.Load()
	if current != nil && current.aliases[a.Topic].mark == "" { // no other read, no timer
		if err := current.blocks(id, a.Client, a.Visitor); err != nil {
			return err
		}
		err := s.send(id, a, write, id.member(a.Topic, a.Visitor), "", deadline)
		if _, refused := err.(*MarkError); !refused { // stores do not wrap it
			return err
		}
		return s.carryThroughMarks(ctx, id, a, write, deadline, err)
	}
	return s.carryThroughMarks(ctx, id, a, write, deadline, nil)
}

// carryThroughMarks is carryThrough for a topic with aliases, or one that refused the
// assertion with a [MarkError], and for an instance that has no settings yet.
func (s *Service) carryThroughMarks(ctx context.Context, id *identity, a Assertion, write *pendingWrite, deadline time.Time, refused error) error {
	var current *settings
	var marked *MarkError
	errors.As(refused, &marked)
	pause := firstPause
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	for {
		var err error
		if marked != nil {
			current, err = s.catchUp(ctx, a.Topic, s.begun.Load(), marked.Mark, pause)
			pause *= 2
		} else {
			current, err = s.currentSettings(ctx)
		}
		if err != nil {
			return err
		}
		if err := current.blocks(id, a.Client, a.Visitor); err != nil {
			return err
		}
		aliases := current.aliases[a.Topic]
		member, err := s.member(ctx, id, aliases.topics, a.Topic, a.Visitor)
		if err != nil {
			return err
		}
		err = s.send(id, a, write, member, aliases.mark, deadline)
		if !errors.As(err, &marked) {
			return err
		}
	}
}

// send has one lane apply the assertion, and waits for the answer, which is in write.
func (s *Service) send(id *identity, a Assertion, write *pendingWrite, member Member, mark string, deadline time.Time) error {
	write.begin(a.Topic, mark, deadline, Write{
		Member:    member,
		Source:    id.source(a.Client),
		Amount:    a.Amount,
		MayCreate: a.MayCreate,
	})
	s.lane(a.Topic).submit(write)
	<-write.done
	return write.err
}

// member returns the visitor's member of topic: that of an alias if the visitor
// contributed under it.
func (s *Service) member(ctx context.Context, id *identity, aliases []Topic, topic Topic, visitor string) (Member, error) {
	own := id.member(topic, visitor)
	if len(aliases) == 0 {
		return own, nil
	}
	queries := make([]Query, len(aliases))
	for i, alias := range aliases {
		queries[i] = Query{Topic: topic, Member: id.member(alias, visitor)}
	}
	for i, reading := range s.store.Read(ctx, queries) {
		if reading.Err != nil {
			return 0, reading.Err
		}
		if reading.Mine > 0 {
			return queries[i].Member, nil
		}
	}
	return own, nil
}

// ChangesBySite returns how many contributions to each site changed through this service.
func (s *Service) ChangesBySite() map[string]int64 {
	changed := make(map[string]int64, len(s.bySite))
	for site, n := range s.bySite {
		changed[site] = n.Load()
	}
	return changed
}

// Read returns the state of each topic in the order asked and, where visitor is
// not empty, that visitor's contributions. Each reading has its own error.
// Errors: [CodeBadVisitor], [CodeStoreUnavailable] for all.
func (s *Service) Read(ctx context.Context, topics []Topic, visitor string) ([]Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	queries := make([]Query, len(topics))
	for i, topic := range topics {
		queries[i].Topic = topic
	}
	var topicOf []int // index in topics of each query after the first len(topics), which are for aliases
	if visitor != "" {
		if err := ValidateVisitor(visitor); err != nil {
			return nil, err
		}
		id, err := s.identify()
		if err != nil {
			return nil, err
		}
		current, err := s.currentSettings(ctx)
		if err != nil {
			return nil, err
		}
		for i, topic := range topics {
			queries[i].Member = id.member(topic, visitor)
			for _, alias := range current.aliases[topic].topics {
				queries = append(queries, Query{Topic: topic, Member: id.member(alias, visitor)})
				topicOf = append(topicOf, i)
			}
		}
	}
	readings := s.store.Read(ctx, queries)
	for i, alias := range readings[len(topics):] {
		if own := &readings[topicOf[i]]; alias.Err == nil {
			own.Mine = max(own.Mine, alias.Mine)
		}
	}
	return readings[:len(topics)], nil
}

// Top returns the topics of a metric with the highest counts.
// Errors: [CodeUnknownSite], [CodeUnknownMetric], [CodeStoreUnavailable].
func (s *Service) Top(ctx context.Context, site, metric string, limit int) ([]Change, error) {
	if err := s.catalog.Validate(site, metric); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return s.store.Top(ctx, site, metric, limit)
}

// DerivedVisitor returns an id for a client that named no visitor: the same for
// the same address and user agent, for metrics whose contributions are final
// only within a day. Errors: [CodeStoreUnavailable].
func (s *Service) DerivedVisitor(client netip.Addr, agent string, topic Topic) (string, error) {
	id, err := s.identify()
	if err != nil {
		return "", err
	}
	return id.derived(client, agent, s.catalog.Rule(topic), time.Now()), nil
}

// identify returns the identity under the secret that the store keeps.
func (s *Service) identify() (*identity, error) {
	secret, err := s.store.Secret()
	if err != nil {
		return nil, err
	}
	id := s.identity.Load()
	if id == nil || id.secret != string(secret) {
		id = newIdentity(secret)
		s.identity.Store(id)
	}
	return id, nil
}

// lane returns the queue of the node on which topic lives.
func (s *Service) lane(topic Topic) *lane {
	name := s.store.Lane(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	if l == nil {
		l = &lane{store: s.store, writes: &s.writes}
		s.lanes[name] = l
	}
	return l
}
