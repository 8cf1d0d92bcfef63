package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

type scaleCase struct {
	Size     string        `help:"S: 10,000 topics with 100,000 contributions; M: ten times as many; L: a hundred times (16 GB of memory)." enum:"S,M,L" default:"S"`
	Topics   int           `help:"Topics, instead of those of the size." default:"0"`
	Journal  int           `help:"Likes after the import, which are in the journal and reverted in the end; 0 for one a topic, at most 100,000." default:"0"`
	Watched  int           `help:"Topics that viewers watch; 0 for all topics, -1 for none." default:"0"`
	Renames  int           `help:"Renames; the first and the last quarter are compared." default:"400"`
	Settle   time.Duration `help:"Time for background work and garbage before memory and idle CPU are read." default:"15s"`
	Quiet    time.Duration `help:"Time of likes without a call." default:"5s"`
	CallTime time.Duration `help:"Time for which a call that changes nothing is repeated, so that there are likes meanwhile." default:"1s"`
	CallRate float64       `help:"Such calls a second; 0: each begins when the one before has ended." default:"0"`
	Stores   []string      `help:"Stores." enum:"sqlite,redis" default:"sqlite,redis"`
}

// Limits of the owner's calls on large stores.
const (
	pageTarget        = 20.0   // ms, by name
	rankedTarget      = 10.0   // ms, by newest and by count
	spikesTarget      = 2000.0 // ms
	previewTarget     = 2000.0 // ms
	revertTarget      = 5000.0 // ms
	likesTarget       = 2.0    // × the p99 without a call
	watchedTarget     = 0.5    // KB a watched topic
	idleWatchedTarget = 3.0    // % of a core with all topics watched
)

const (
	// contributionsPerTopic is how many contributions an imported topic has.
	contributionsPerTopic = 10
	// watchedPerViewer is how many topics a viewer watches.
	watchedPerViewer = 200
	// adminToken authorizes the owner's calls.
	adminToken = "bench-admin-token-0123456789abcdef"
)

func (c *scaleCase) topics() int {
	if c.Topics > 0 {
		return c.Topics
	}
	return map[string]int{"S": 10_000, "M": 100_000, "L": 1_000_000}[c.Size]
}

func (c *scaleCase) journal() int {
	if c.Journal > 0 {
		return c.Journal
	}
	return min(c.topics(), 100_000)
}

// Run fills each store and measures the owner's calls, and the likes meanwhile.
func (c *scaleCase) Run(s *session) error {
	var peers []*peer.Peer
	for _, store := range c.Stores {
		peers = append(peers, map[string]*peer.Peer{"sqlite": peer.TallycastSQLite(), "redis": peer.Tallycast()}[store])
	}
	title := fmt.Sprintf("The owner's calls with %d topics, %d contributions and %d likes in the journal", c.topics(), c.topics()*contributionsPerTopic, c.journal())
	arguments := append([]string{"--admin-token", adminToken, "--max-watched-topics", "4000000"}, s.arguments...)
	return s.runCase("scale", title, func() error {
		s.report.Machine += ", " + measure.Load()
		table := s.report.Table("server", "call", "times", "ms (median)", "ms (longest)", "KB answered", "server CPU ms", "Redis CPU ms", "RSS +MB", "likes p99 ms", "× without")
		other := s.report.Table("server", "figure", "value")
		for _, p := range peers {
			s.report.Setting(p.Name, p.Settings)
			server, err := p.Start(s.ctx, peer.Options{Binary: s.binary, Arguments: arguments})
			if err == nil {
				run := &scaleRun{scaleCase: c, session: s, server: server, name: p.Name, table: table, other: other, client: &http.Client{}}
				err = errors.Join(run.run(), server.Stop())
			}
			s.recordFailure(p.Name, err)
		}
		return s.ctx.Err()
	})
}

// scaleRun is the measurement of one server.
type scaleRun struct {
	*scaleCase
	session *session
	server  *peer.Server
	name    string
	table   *report.Table
	other   *report.Table
	client  *http.Client

	likers *load.Likers
	quiet  float64 // p99 of likes without a call, ms
}

func (r *scaleRun) run() (err error) {
	began := time.Now()
	r.progress("importing")
	if err := r.fill(); err != nil {
		return err
	}
	r.figure("import, s", time.Since(began).Seconds())
	if r.likers, err = r.server.Likers(load.Concurrency{Loops: 16}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.likers.Close()) }()
	from := time.Now().Add(-time.Minute)
	r.progress("posting likes")
	began = time.Now()
	liked, err := r.likers.Run(r.session.ctx, load.Job{Topics: r.topics(), For: fillWithin, Count: int64(r.journal())})
	if err != nil {
		return err
	}
	r.figure("likes a second, with 16 in flight", float64(liked.Likes)/time.Since(began).Seconds())
	if err := r.session.wait(r.Settle); err != nil {
		return err
	}
	usage, err := r.server.Processes.Usage()
	if err != nil {
		return err
	}
	r.figure("RSS of the server, MB", float64(usage.RSS)/1e6)
	if r.quiet, err = r.measureQuiet(); err != nil {
		return err
	}
	r.figure("likes p99 without a call, ms", r.quiet)
	if err := r.calls(from); err != nil {
		return err
	}
	if r.Watched < 0 {
		return nil
	}
	return r.watch()
}

func (r *scaleRun) progress(what string) { r.session.progressf("%s: %s", r.name, what) }

func (r *scaleRun) figure(what string, value float64) {
	r.other.Row(r.name, what, value)
	r.session.recordFailure(r.name, r.session.report.Record(map[string]any{"Peer": r.name, "Figure": what, "Value": value}))
}

// target adds a limit of a figure.
func (r *scaleRun) target(what string, figure, limit float64, unit string) {
	r.session.report.Target(report.Target{What: r.name + ": " + what, Figure: figure, Limit: limit, Unit: unit})
}

// watch measures viewers that watch many topics.
func (r *scaleRun) watch() (err error) {
	watched := r.Watched
	if watched == 0 {
		watched = r.topics()
	}
	viewers := max(watched/watchedPerViewer, 1)
	r.progress(fmt.Sprintf("%d topics are watched", viewers*watchedPerViewer))
	before, err := r.server.Processes.Usage()
	if err != nil {
		return err
	}
	crowd, err := load.NewCrowd(load.Plan{Endpoint: r.server.Endpoint(load.SSE), Viewers: viewers, Topics: max(r.topics(), watchedPerViewer), PerViewer: watchedPerViewer})
	if err != nil {
		return err
	}
	ctx, cancel := r.session.timeout(enterWithin)
	defer cancel()
	if err := crowd.Open(ctx); err != nil {
		return errors.Join(err, crowd.Close())
	}
	idle, err := r.idle()
	if err != nil {
		return errors.Join(err, crowd.Close())
	}
	with, err := r.server.Processes.Usage()
	if err != nil {
		return errors.Join(err, crowd.Close())
	}
	p99, err := r.measureQuiet()
	if err := errors.Join(err, crowd.Close()); err != nil {
		return err
	}
	if err := r.session.wait(r.Settle); err != nil {
		return err
	}
	after, err := r.server.Processes.Usage()
	if err != nil {
		return err
	}
	each := float64(with.RSS-before.RSS) / float64(viewers*watchedPerViewer) / 1024
	r.figure(fmt.Sprintf("KB a watched topic, %d of them", viewers*watchedPerViewer), each)
	r.figure("CPU at rest meanwhile, % of a core", idle)
	r.figure("likes p99 meanwhile, ms", p99)
	r.figure("MB that stay after all left", float64(after.RSS-before.RSS)/1e6)
	r.target("memory a watched topic", each, watchedTarget, "KB")
	r.target("CPU at rest with all topics watched", idle, idleWatchedTarget, "% of a core")
	return nil
}

// idle returns the CPU time of the server while nothing happens, in percent of a core.
func (r *scaleRun) idle() (percent float64, err error) {
	if err := r.session.wait(r.Settle); err != nil {
		return 0, err
	}
	before, err := r.server.Processes.CPU()
	if err != nil {
		return 0, err
	}
	if err := r.session.wait(r.Settle); err != nil {
		return 0, err
	}
	after, err := r.server.Processes.CPU()
	return 100 * (after - before).Seconds() / r.Settle.Seconds(), err
}
