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
	// answerTimeout bounds the time to answer a read or a write, whatever the store does: the
	// contract's 3 s minus the time that the HTTP handler needs.
	answerTimeout = 2800 * time.Millisecond
	// minRemaining is the least time from the start of a round to the deadline of each of its
	// writes. A round ends by the earliest deadline of its writes, so a write with less time
	// would leave too little for all of them.
	minRemaining = 400 * time.Millisecond

	// Bounds of a round and of a lane's queue. A full queue refuses writes with
	// store_unavailable.
	maxBatchTopics = 256
	maxQueued      = 1 << 16
	// maxScan bounds the part of the queue that is scanned to form a round: submitters wait
	// for the scan.
	maxScan = 4096
)

// MaxBatchWrites is the most writes that one [Batch] carries.
const MaxBatchWrites = 512

// ErrWouldAdd is the error of an assertion with RefuseNew whose visitor contributes nothing yet.
var ErrWouldAdd = errors.New("the visitor contributes nothing yet")

// ErrWouldCreate is the error of an assertion that may not create its topic, which does
// not exist.
var ErrWouldCreate = errors.New("the topic does not exist")

// Assertion states what a visitor contributes to a topic from now on. In a choice metric
// Amount is the option, 0 without one.
type Assertion struct {
	Topic     Topic
	Visitor   string
	Amount    int64
	Client    netip.Addr // for the journal and blocked ranges; the zero Addr for the owner's servers
	MayCreate bool       // whether the assertion may create its topic
	RefuseNew bool       // whether to refuse the assertion if the visitor contributes nothing yet
}

// Result answers an [Assertion]. Mine, Changed, Added and Created describe the assertion,
// Change the state after its batch.
type Result struct {
	Change  Change
	Mine    int64
	Changed bool
	Added   bool // the visitor contributed nothing before
	Created bool
}

// ServiceStore is the part of a store that a [Service] uses.
type ServiceStore interface {
	Applier
	Reader
	HistoryReader
	Ranker
	GainRanker
	SecretSource
	SettingsReader
	MarkStore
}

// Service applies the rules of metrics and collects concurrent writes into batches. It is
// safe for concurrent use.
type Service struct {
	store    ServiceStore
	catalog  *Catalog
	hasher   atomic.Pointer[Hasher]   // nil until the store returned the secret
	settings atomic.Pointer[settings] // nil until they were read
	reads    settingsReads
	bySite   map[string]*atomic.Int64 // contributions that changed; the map is fixed
	counters writeCounters
	waiters  sync.Pool // of *waiter

	mu    sync.Mutex
	lanes map[string]*lane // guarded by mu
}

// NewService returns a service over store for the topics of catalog.
func NewService(store ServiceStore, catalog *Catalog) *Service {
	s := &Service{store: store, catalog: catalog, lanes: map[string]*lane{}, bySite: map[string]*atomic.Int64{}}
	s.reads.active = make(chan struct{}, 1)
	for _, site := range catalog.Sites() {
		s.bySite[site] = &atomic.Int64{}
	}
	s.waiters.New = func() any { return newWaiter() }
	return s
}

// Catalog returns the sites and metrics that the service knows.
func (s *Service) Catalog() *Catalog { return s.catalog }

// Assert makes an assertion and returns when the store has it, within 3 s. It continues
// after ctx ends. Errors: [CodeBadVisitor], [CodeBadAmount], [CodeReadOnlyMetric],
// [CodeBlocked], [CodeStoreUnavailable], [ErrWouldCreate], [ErrWouldAdd].
func (s *Service) Assert(ctx context.Context, a Assertion) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, Unavailable(err)
	}
	w := s.waiters.Get().(*waiter)
	defer s.waiters.Put(w)
	s.start(a, &w.write, w.done)
	<-w.answered
	return w.result, w.err
}

// waiter waits for the result of an assertion.
type waiter struct {
	write    pendingWrite
	answered chan struct{}
	done     func(Result, error) // sets the result and sends to answered
	result   Result
	err      error
}

func newWaiter() *waiter {
	w := &waiter{answered: make(chan struct{}, 1)}
	w.done = func(result Result, err error) {
		w.result, w.err = result, err
		w.answered <- struct{}{}
	}
	return w
}

// Start is Assert for a caller that does not wait: it calls done once with the result,
// at once or later, from any goroutine. done must not wait.
func (s *Service) Start(a Assertion, done func(Result, error)) { s.start(a, &pendingWrite{}, done) }

func (s *Service) start(a Assertion, write *pendingWrite, done func(Result, error)) {
	hasher, err := s.validate(a)
	if err != nil {
		done(Result{}, err)
		return
	}
	deadline := time.Now().Add(answerTimeout)
	current := s.settings.Load()
	if current == nil || current.aliases[a.Topic].mark != "" {
		go func() { done(s.assertMarked(hasher, a, deadline, nil)) }() // ends by the deadline
		return
	}
	if err := current.checkBlocks(hasher, a.Topic.Site(), a.Client, a.Visitor); err != nil {
		done(Result{}, err)
		return
	}
	write.service, write.hasher, write.assertion, write.done = s, hasher, a, done
	s.submit(hasher, a, write, hasher.Member(a.Topic, a.Visitor), nil, "", deadline)
}

// validate checks the rule and the visitor's id, and returns the hasher.
func (s *Service) validate(a Assertion) (*Hasher, error) {
	if err := s.catalog.Rule(a.Topic).Validate(a.Amount); err != nil {
		return nil, err
	}
	if err := ValidateAnyVisitor(a.Visitor); err != nil {
		return nil, err
	}
	return s.currentHasher()
}

// result returns the result of a write that the store answered or that failed with err, and
// counts it in the metrics.
func (s *Service) result(a Assertion, write *pendingWrite, err error) (Result, error) {
	if err != nil {
		if IsUnavailable(err) {
			s.counters.failed.Add(1)
		}
		return Result{}, err
	}
	if write.write.WouldCreate {
		return Result{}, ErrWouldCreate
	}
	if write.write.WouldAdd {
		return Result{}, ErrWouldAdd
	}
	s.counters.acknowledged.Observe(answerTimeout - time.Until(write.deadline))
	if write.write.Changed {
		s.bySite[a.Topic.Site()].Add(1)
	}
	return Result{
		Change:  write.change,
		Mine:    write.write.Amount,
		Changed: write.write.Changed,
		Added:   write.write.Added,
		Created: write.write.Created,
	}, nil
}

// assertMarked makes an assertion whose members depend on settings: the topic has aliases, the
// store refused the mark of a first attempt (refused), or the instance has no settings yet. It
// repeats the assertion with newer settings until the store accepts the mark or the deadline
// is over.
func (s *Service) assertMarked(hasher *Hasher, a Assertion, deadline time.Time, refused *MarkError) (Result, error) {
	var current *settings
	pause := firstPause
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	write := &pendingWrite{answered: make(chan error, 1)}
	for {
		var err error
		if refused != nil {
			current, err = s.catchUp(ctx, a.Topic, s.reads.begun.Load(), refused.Mark, pause)
			pause *= 2
		} else {
			current, err = s.currentSettings(ctx)
		}
		if err != nil {
			return s.result(a, write, err)
		}
		if err := current.checkBlocks(hasher, a.Topic.Site(), a.Client, a.Visitor); err != nil {
			return s.result(a, write, err)
		}
		aliases := current.aliases[a.Topic]
		member, others, err := s.members(ctx, hasher, aliases.topics, a.Topic, a.Visitor)
		if err != nil {
			return s.result(a, write, err)
		}
		s.submit(hasher, a, write, member, others, aliases.mark, deadline)
		err = <-write.answered
		if refused, _ = err.(*MarkError); refused == nil {
			return s.result(a, write, err)
		}
	}
}

// submit passes the assertion to its lane.
func (s *Service) submit(hasher *Hasher, a Assertion, write *pendingWrite, member Member, others []Member, mark string, deadline time.Time) {
	var withdrawals []Write
	for _, other := range others {
		withdrawals = append(withdrawals, Write{Member: other})
	}
	write.reset(a.Topic, mark, deadline, Write{
		Member:    member,
		Source:    hasher.Source(a.Client),
		Amount:    a.Amount,
		MayCreate: a.MayCreate,
		RefuseNew: a.RefuseNew,
	}, withdrawals)
	s.lane(a.Topic).submit(write)
}

// members returns the member under which to store the visitor's contribution to topic: that of
// an alias under which the visitor contributed, else the topic's own. In a choice metric others
// are the further members with a choice of the visitor, since the next choice replaces all.
func (s *Service) members(ctx context.Context, hasher *Hasher, aliases []Topic, topic Topic, visitor string) (member Member, others []Member, err error) {
	own := hasher.Member(topic, visitor)
	if len(aliases) == 0 {
		return own, nil, nil
	}
	isChoice := s.catalog.Rule(topic).Kind == Choice
	queries := make([]Query, 0, 1+len(aliases))
	if isChoice {
		queries = append(queries, Query{Topic: topic, Member: own})
	}
	for _, alias := range aliases {
		queries = append(queries, Query{Topic: topic, Member: hasher.Member(alias, visitor)})
	}
	var members []Member
	for i, reading := range s.store.Read(ctx, queries) {
		if reading.Err != nil {
			return 0, nil, reading.Err
		}
		if reading.Mine > 0 {
			members = append(members, queries[i].Member)
		}
	}
	switch {
	case len(members) == 0:
		return own, nil, nil
	case !isChoice:
		return members[0], nil, nil
	}
	return members[0], members[1:], nil
}

// ChangesBySite returns the number of contributions to each site that changed through this
// service.
func (s *Service) ChangesBySite() map[string]int64 {
	changes := make(map[string]int64, len(s.bySite))
	for site, n := range s.bySite {
		changes[site] = n.Load()
	}
	return changes
}

// Top returns the topics of a metric with the highest counts, and whether they are stale, as a
// [Reading]. Errors: [CodeUnknownSite], [CodeUnknownMetric], [CodeStoreUnavailable].
func (s *Service) Top(ctx context.Context, site, metric string, limit int) (top []Change, isStale bool, err error) {
	if err := s.catalog.Validate(site, metric); err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	isStale = s.isStale()
	top, err = s.store.Top(ctx, site, metric, limit)
	return top, isStale, err
}

// DerivedVisitor returns an id for a client that sends none: the same for the same address
// and user agent, and for final metrics only within a day. Errors: [CodeStoreUnavailable].
func (s *Service) DerivedVisitor(client netip.Addr, agent string, topic Topic) (string, error) {
	hasher, err := s.currentHasher()
	if err != nil {
		return "", err
	}
	return hasher.derived(client, agent, s.catalog.Rule(topic), time.Now()), nil
}

// currentHasher returns the hasher with the store's secret.
func (s *Service) currentHasher() (*Hasher, error) {
	secret, err := s.store.Secret()
	if err != nil {
		return nil, err
	}
	hasher := s.hasher.Load()
	if hasher == nil || hasher.secret != string(secret) {
		hasher = NewHasher(secret)
		s.hasher.Store(hasher)
	}
	return hasher, nil
}

// lane returns the queue of the node that stores topic.
func (s *Service) lane(topic Topic) *lane {
	name := s.store.Lane(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	if l == nil {
		l = &lane{name: name, store: s.store, counters: &s.counters, ended: make(chan struct{}, 1)}
		s.lanes[name] = l
	}
	return l
}
