package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/api"
	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/presence"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/web"
)

// finishWithin is how long requests that are being answered may take once no new
// ones are taken: a write is answered within 3 s whatever the store does.
const finishWithin = 5 * time.Second

func serve(p *process) int {
	// A log that nobody reads any more ends no service. Other commands end, as any
	// program in a pipe does.
	signal.Ignore(syscall.SIGPIPE)
	values, problems := p.resolve()
	c, wrong := readConfig(values)
	if problems = append(problems, wrong...); len(problems) > 0 {
		return refuse(p.stderr, problems)
	}
	log, forPeople := newLogger(c, p.stderr)
	c.maxViewers, c.files = fitViewers(c.maxViewers, log)
	c.commandLine = commandLine(p)
	s, err := open(p.ctx, c, log)
	if err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	for _, m := range replacedMetrics(c.metrics) {
		log.Warn("--metric replaces the rule of a default metric", "metric", m.name, "rule", m.rule.String(), "default", m.before.String())
	}
	announcement{c, values, s.public.address(), s.internal.address()}.make(p.stderr, log, forPeople)
	if err := s.serve(p.ctx); err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	return exitOK
}

// instance is everything that serves, wired and listening.
type instance struct {
	log      *slog.Logger
	drain    time.Duration
	store    store
	hub      *hub.Hub
	sink     *noticedSink // the hub
	presence *presence.Tracker
	desk     *owner.Service
	sitemaps []func(context.Context) error // which follow them
	push     *push.Server
	limits   *ratelimit.Limiter
	seeder   *seeder // nil where no seeds are given
	api      *api.API
	public   *listener
	internal *listener // nil where there is none
}

// open wires the parts together and listens. Nothing is answered before
// [instance.serve]; what connects meanwhile waits in the kernel.
func open(ctx context.Context, c config, log *slog.Logger) (_ *instance, err error) {
	catalog := tally.NewCatalog(c.sites.names(), c.metrics)
	i := &instance{log: log, drain: c.drain}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	// The store last of the three: an address that is taken leaves no new file behind.
	if i.public, err = listen("listen", c.listen, log); err != nil {
		return nil, err
	}
	if c.internalListen != "" {
		if i.internal, err = listen("internal-listen", c.internalListen, log); err != nil {
			return nil, err
		}
	}
	if i.store, err = openStore(ctx, c, catalog, log); err != nil {
		return nil, err
	}
	service := tally.NewService(i.store, catalog)
	i.hub = hub.New(i.store, hub.Options{
		FlushInterval: c.flushInterval,
		WriteTimeout:  c.writeTimeout,
		MaxTopics:     c.maxWatchedTopics,
		Formats:       push.Formats(),
	})
	i.sink = newNoticedSink(i.hub)
	i.presence = presence.New(i.store, c.maxWatchedTopics)
	i.push, err = push.New(i.hub, i.presence, catalog, push.Options{
		MaxViewers:           c.maxViewers,
		MaxViewersPerAddress: c.maxViewersPerAddress,
		MaxTopicsPerAddress:  topicsPerAddress(c),
		WriteTimeout:         c.writeTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare for viewers: %w", err)
	}
	version, _ := build()
	report := &reporter{
		started: time.Now().UTC(),
		version: version,
		parts:   []tally.Instrumented{i.hub, i.presence},
		sink:    i.sink,
		health:  i.store.Health,
	}
	i.desk = owner.New(i.store, service, owner.Options{
		Broadcast:        i.store.Broadcast,
		Status:           report.status,
		JournalRetention: c.journal,
		Log:              log,
	})
	keys := i.followSitemaps(c, version)
	i.limits = ratelimit.New(c.rateLimit, c.readLimit, c.newTopicLimit, i.store.Secret)
	connections := limitConnections(c, log)
	i.api, err = api.New(api.Options{
		Service:        service,
		Hub:            i.hub,
		Push:           i.push,
		Health:         i.store.Health,
		Sites:          c.sites,
		TrustedProxies: c.trustedProxies,
		Limits:         i.limits,
		ServerToken:    c.serverToken,
		Keys:           keys,
		Admin: admin.New(admin.Options{
			Owner:     i.desk,
			Store:     i.store,
			Catalog:   catalog,
			Keys:      keys,
			Token:     c.adminToken,
			StoreName: c.store.name(),
			BasePath:  c.basePath,
			Pages:     web.Dashboard,
			Logger:    log,
		}),
		BasePath:     c.basePath,
		WithoutDemo:  !c.demo,
		Instrumented: instrumented(service, i.hub, i.presence, i.push, connections, i.store, i.desk),
		Logger:       log,
		Version:      version,
		CommandLine:  c.commandLine,
	})
	if err != nil {
		return nil, err
	}
	i.seeder = newSeeder(c.seeding, i.store, catalog, keys, log)
	i.public.server.Handler = i.seeder.gate(c.basePath, i.api.Public())
	i.public.server.ReadTimeout, i.public.server.WriteTimeout = bodyWithin, answerWithin
	i.public.limit(connections)
	if i.internal != nil {
		i.internal.server.Handler = i.api.Internal()
	}
	return i, nil
}

// followSitemaps returns the keys of the sites that have known keys, and prepares to
// follow their site maps.
func (i *instance) followSitemaps(c config, version string) *tally.KnownKeys {
	known := c.known
	keys := tally.NewKnownKeys(known.names()...)
	for _, site := range known.names() {
		if len(known[site]) == 0 {
			continue
		}
		options := sitemap.Options{Origins: c.sites[site], Agent: "tallycast/" + version, Log: i.log.With("site", site)}
		i.sitemaps = append(i.sitemaps, func(ctx context.Context) error {
			return sitemap.Follow(ctx, known[site], options, func(all map[string]bool) {
				keys.Set(site, all)
				i.seeder.checkKeys()
			})
		})
	}
	return keys
}

// receive takes what another instance broadcast.
func (i *instance) receive(payload []byte) {
	if !i.desk.Receive(payload) {
		i.limits.Receive(payload)
	}
}

// instrumented returns those of the parts that have figures.
func instrumented(parts ...any) (all []tally.Instrumented) {
	for _, part := range parts {
		if figures, ok := part.(tally.Instrumented); ok {
			all = append(all, figures)
		}
	}
	return all
}

// serve answers until ctx ends, and then ends in an order in which nobody loses
// anything: the balancer is told, connections are closed one after the other,
// requests in flight are answered, and the store closes last. A part that fails
// ends the others.
func (i *instance) serve(ctx context.Context) error {
	// The parts outlive ctx: they are needed until the last request is answered.
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(parts)
	for name, run := range map[string]func(context.Context) error{
		"store":    func(ctx context.Context) error { return i.store.Run(ctx, i.sink, i.receive) },
		"hub":      i.hub.Run,
		"presence": i.presence.Run,
		"push":     i.push.Run,
		"seeder":   i.seeder.run,
		"limits":   func(ctx context.Context) error { return i.limits.Run(ctx, i.store.Broadcast) },
		"owner":    i.desk.Run,
		"sitemaps": i.runSitemaps,
		"memory":   trim,
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
		if errors.Is(context.Cause(ctx), errInterrupted) && i.hub.Viewers() == 0 {
			over = 0 // at a terminal there is no balancer that would have to notice
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

// runSitemaps follows the site maps until ctx ends.
func (i *instance) runSitemaps(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, follow := range i.sitemaps {
		group.Go(func() error { return follow(ctx) }) // ends with ctx
	}
	return group.Wait()
}

// close closes what [open] opened and serve does not end.
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
