package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/api"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/visitortoken"
	"github.com/tallycast/tallycast/web"
)

// ErrInterrupted is the cause of a context that ended because of SIGINT, which a person at a terminal
// sends.
var ErrInterrupted = errors.New("interrupted")

// Options describe an instance.
type Options struct {
	Config      config.Config
	Values      config.Values // of the settings, for the startup summary
	CommandLine []string      // without credentials
	Version     string
	Commit      string
	Stderr      io.Writer // takes the log and the startup summary

	intervals redisstore.Intervals // tests shorten them
}

// Run serves until ctx ends or a part fails.
func Run(ctx context.Context, o Options) error {
	// The process continues if the reader of its log ends. Other commands end on SIGPIPE, like any
	// program in a pipe.
	signal.Ignore(syscall.SIGPIPE)
	log, forPeople := newLogger(o.Config, o.Stderr)
	maxViewers, files := fitViewers(o.Config.MaxViewers, log)
	o.Config.MaxViewers = maxViewers
	i, err := open(ctx, o, files, log)
	if err != nil {
		return err
	}
	for _, m := range o.Config.ReplacedMetrics() {
		log.Warn("--metric replaces the rule of a default metric", "metric", m.Name, "rule", m.Rule.String(), "default", m.Default.String())
	}
	summary{o, i.public.address(), i.internal.address()}.print(log, forPeople)
	return i.serve(ctx)
}

// instance is a serving instance: all parts wired, both addresses bound.
type instance struct {
	log      *slog.Logger
	drain    time.Duration
	version  string
	started  time.Time
	store    Store
	hub      *hub.Hub
	presence *presence.Tracker
	owner    *owner.Service
	sitemaps []func(context.Context) error // each follows the sitemaps of a site
	push     *push.Server
	limits   *ratelimit.Limiter
	tokens   *visitortoken.Verifier
	seeder   *seeder // nil without seeds
	api      *api.API
	public   *listener
	internal *listener // nil if it is turned off
}

// open wires the parts and binds the addresses. files is the limit of open files; 0 means none.
// Requests are answered after [instance.serve] was called; earlier connections wait in the kernel.
func open(ctx context.Context, o Options, files int, log *slog.Logger) (_ *instance, err error) {
	c := o.Config
	catalog := tally.NewCatalog(c.Sites.Names(), c.Metrics)
	i := &instance{log: log, drain: c.Drain, version: o.Version, started: time.Now().UTC()}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	// The store comes last, so that no file is created if an address is in use.
	if i.public, err = listen("listen", c.Listen, log); err != nil {
		return nil, err
	}
	if c.InternalListen != "" {
		if i.internal, err = listen("internal-listen", c.InternalListen, log); err != nil {
			return nil, err
		}
	}
	if i.store, err = openStore(ctx, c, catalog, false, o.intervals, log); err != nil {
		return nil, err
	}
	return i, i.wire(o, catalog, files)
}

// wire connects the parts over the opened store.
func (i *instance) wire(o Options, catalog *tally.Catalog, files int) (err error) {
	c, log := o.Config, i.log
	service := tally.NewService(near(i.store), catalog)
	i.hub = hub.New(i.store, hub.Options{
		FlushInterval: c.FlushInterval,
		WriteTimeout:  c.WriteTimeout,
		MaxTopics:     c.MaxWatchedTopics,
		Formats:       push.Formats(),

		StaleSnapshots: c.StoreReplica.RedisURL != "",
	})
	i.presence = presence.New(i.store, c.MaxWatchedTopics)
	i.push, err = push.New(i.hub, i.presence, catalog, push.Options{
		MaxViewers:           c.MaxViewers,
		MaxViewersPerAddress: c.MaxViewersPerAddress,
		MaxTopicsPerAddress:  topicsPerAddress(c),
		WriteTimeout:         c.WriteTimeout,
	})
	if err != nil {
		return fmt.Errorf("prepare for viewers: %w", err)
	}
	i.owner = owner.New(i.store, service, owner.Options{
		Broadcast:        i.store.Broadcast,
		Status:           i.status,
		JournalRetention: c.Journal,
		Log:              log,
	})
	keys := i.followSitemaps(o)
	i.tokens = visitortoken.New(c.VisitorKeys, visitortoken.Options{Agent: "tallycast/" + o.Version, Log: log})
	i.limits = ratelimit.New(ratelimit.Limits{
		Writes: c.RateLimit, Reads: c.ReadLimit, NewTopics: c.NewTopicLimit, Topic: c.TopicLimit,
	}, i.store.Secret)
	connections := limitConnections(c, files, log)
	instrumented := []tally.Instrumented{service, i.hub, i.presence, i.push, connections, i.owner, i.tokens}
	if store, ok := i.store.(tally.Instrumented); ok {
		instrumented = append(instrumented, store)
	}
	i.api, err = api.New(api.Options{
		Service:        service,
		Hub:            i.hub,
		Push:           i.push,
		Health:         i.store.Health,
		Sites:          c.Sites,
		TrustedProxies: c.TrustedProxies,
		Limits:         i.limits,
		PresenceLimits: ratelimit.New(ratelimit.Limits{NewTopics: c.NewTopicLimit}, nil),
		ServerToken:    c.ServerToken,
		VisitorTokens:  i.tokens,
		SignedSites:    c.SignedSites,
		Keys:           keys,
		Admin: admin.New(admin.Options{
			Owner:     i.owner,
			Keys:      keys,
			Token:     c.AdminToken,
			StoreName: c.Store.Name(),
			BasePath:  c.BasePath,
			Pages:     web.Dashboard,
			Logger:    log,
		}),
		BasePath:     c.BasePath,
		WithoutDemo:  !c.Demo,
		Instrumented: instrumented,
		Logger:       log,
		Version:      o.Version,
		CommandLine:  o.CommandLine,
	})
	if err != nil {
		return err
	}
	i.seeder = newSeeder(c.Seeding, i.store, catalog, keys, log)
	i.public.server.Handler = i.seeder.gate(c.BasePath, i.api.Public())
	i.public.server.ReadTimeout, i.public.server.WriteTimeout = bodyTimeout, answerTimeout
	i.public.limit(connections, c.BasePath)
	if i.internal != nil {
		i.internal.server.Handler = i.api.Internal()
	}
	return nil
}

// followSitemaps returns the known keys of the sites with known keys, and adds the functions that
// follow their sitemaps.
func (i *instance) followSitemaps(o Options) *tally.KnownKeys {
	known := o.Config.KnownKeys
	keys := tally.NewKnownKeys(known.Names()...)
	for _, site := range known.Names() {
		if len(known[site]) == 0 {
			continue
		}
		options := sitemap.Options{Origins: o.Config.Sites[site], Agent: "tallycast/" + o.Version, Log: i.log.With("site", site)}
		i.sitemaps = append(i.sitemaps, func(ctx context.Context) error {
			return sitemap.Follow(ctx, known[site], options, func(all map[string]bool) {
				keys.Set(site, all)
				i.seeder.keysChanged()
			})
		})
	}
	return keys
}

// receive handles a broadcast of another instance.
func (i *instance) receive(payload []byte) {
	if !i.owner.Receive(payload) {
		i.limits.Receive(payload)
	}
}

// shareLimits broadcasts how much of the limits client addresses used, unless no other instance
// uses the store: a hosted store may bill each command.
func (i *instance) shareLimits(payload []byte) {
	if shared, ok := i.store.(interface{ IsAlone() bool }); ok && shared.IsAlone() {
		return
	}
	i.store.Broadcast(payload)
}

// serve answers requests until ctx ends or a part fails. Then it makes /readyz report that it is
// draining, disconnects the viewers, answers the requests in flight, and closes the store last.
func (i *instance) serve(ctx context.Context) error {
	// The parts outlive ctx: the last requests need them.
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(parts)
	for name, run := range map[string]func(context.Context) error{
		"store":    func(ctx context.Context) error { return i.store.Run(ctx, i.hub, i.receive) },
		"hub":      i.hub.Run,
		"presence": i.presence.Run,
		"push":     i.push.Run,
		"seeder":   i.seeder.run,
		"limits":   func(ctx context.Context) error { return i.limits.Run(ctx, i.shareLimits) },
		"owner":    i.owner.Run,
		"sitemaps": i.runSitemaps,
		"tokens":   i.tokens.Run,
		"memory": func(ctx context.Context) error {
			return freeMemory(ctx, func() int64 { return i.hub.Viewers() + i.hub.WatchedTopics() })
		},
	} {
		group.Go(func() error { // ends with parts
			if err := run(failed); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	group.Go(i.public.serve) // ends with its shutdown
	if i.internal != nil {
		group.Go(i.internal.serve) // ends with its shutdown
	}
	select {
	case <-ctx.Done():
		over := i.drain
		if errors.Is(context.Cause(ctx), ErrInterrupted) && i.hub.Viewers() == 0 {
			over = 0 // at a terminal there is no balancer to wait for
		}
		i.log.Info("draining", "over", over)
		i.api.Drain()
		i.push.Drain(failed, over)
	case <-failed.Done():
	}
	began := time.Now()
	ending := i.public.shutdown()
	stop()
	if i.internal != nil {
		ending = errors.Join(ending, i.internal.shutdown())
	}
	err := errors.Join(group.Wait(), ending, i.close())
	if err == nil {
		i.log.Info("ended", "finishing", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// runSitemaps follows the sitemaps until ctx ends.
func (i *instance) runSitemaps(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, follow := range i.sitemaps {
		group.Go(func() error { return follow(ctx) }) // ends with ctx
	}
	return group.Wait()
}

// close releases the addresses and the store.
func (i *instance) close() (err error) {
	for _, l := range []*listener{i.public, i.internal} {
		if l != nil {
			err = errors.Join(err, l.close())
		}
	}
	if i.store != nil {
		err = errors.Join(err, i.store.Close())
	}
	return err
}
