package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

const (
	// firstNumberTarget is the limit of the time until a page beside a replica has its first
	// number, p99, in ms.
	firstNumberTarget = 20.0
	// beyondDelay is the limit of the time from a like in one region to the frames in another,
	// p99, in addition to the delays of the links, in ms.
	beyondDelay = 25.0
	// linkTarget is the limit of the bytes on the link with many instances, relative to one.
	linkTarget = 1.1
	// usedWithin is the time until an instance uses its replica.
	usedWithin = 15 * time.Second
)

type regionsCase struct {
	RoundTrip time.Duration `help:"Round trip between a region and the primary." default:"150ms"`
	Pages     int           `help:"Pages that open one after the other, of topics that nobody watches." default:"300"`
	Likes     int           `help:"Likes one after the other." default:"150"`
	Viewers   int           `help:"Viewers of each instance." default:"100"`
	Instances int           `help:"Instances of the region whose link is measured." default:"10"`
	LinkLikes int64         `help:"Likes while the bytes of the link are counted." default:"2000"`
}

// Run measures instances beside a replica.
func (c *regionsCase) Run(s *session) error {
	return s.runCase("regions", fmt.Sprintf("Regions with a replica, %s from the primary", c.RoundTrip), func() error {
		s.recordFailure("regions", c.measure(s))
		return s.ctx.Err()
	})
}

func (c *regionsCase) measure(s *session) (err error) {
	s.report.Machine += ", " + measure.Load()
	var ends []func() error
	defer func() {
		for i := range ends {
			err = errors.Join(err, ends[len(ends)-1-i]())
		}
	}()
	primary, err := peer.StartRedis(s.ctx)
	if err != nil {
		return err
	}
	ends = append(ends, primary.Stop)
	start := func(address, replica string) (*peer.Server, error) {
		options := peer.Options{Redis: &peer.Redis{Address: address}, Binary: s.binary, Arguments: s.arguments}
		if replica != "" {
			options.Arguments = append([]string{"--store-replica", "redis://" + replica}, options.Arguments...)
		}
		server, err := peer.Tallycast().Start(s.ctx, options)
		if err == nil {
			ends = append(ends, server.Stop)
		}
		return server, err
	}
	home, err := start(primary.Address, "") // stores the secret
	if err != nil {
		return err
	}
	s.report.Setting(home.Peer.Name, home.Peer.Settings)
	regions := make([]*peer.Region, 2)
	for i := range regions {
		if regions[i], err = peer.StartRegion(s.ctx, primary, c.RoundTrip); err != nil {
			return err
		}
		ends = append(ends, regions[i].Stop)
	}
	near := func(g *peer.Region) (*peer.Server, error) {
		server, err := start(g.Line.Address, g.Replica.Address)
		if err == nil {
			err = c.awaitReplica(s, server)
		}
		return server, err
	}
	likes, err := near(regions[0])
	if err != nil {
		return err
	}
	shows, err := near(regions[1])
	if err != nil {
		return err
	}
	far, err := start(regions[1].Line.Address, "")
	if err != nil {
		return err
	}

	s.progressf("first numbers")
	withReplica, without, floor := load.NewHistogram(), load.NewHistogram(), load.NewHistogram()
	for n := range c.Pages { // alternating
		stream := fmt.Sprintf("/v1/stream?topic=default/likes/page-%d", n)
		for _, m := range []struct {
			server     *peer.Server
			path, text string
			into       *hdrhistogram.Histogram
		}{{shows, "/healthz", "", floor}, {shows, stream, `"count":`, withReplica}, {far, stream, `"count":`, without}} {
			took, err := firstLine(m.server, m.path, m.text)
			if err == nil {
				err = m.into.RecordValue(took.Microseconds())
			}
			if err != nil {
				return err
			}
		}
	}
	s.progressf("likes")
	screens, err := c.likeToScreen(s, likes, shows)
	if err != nil {
		return err
	}
	s.progressf("bytes on the link")
	likers, err := home.Likers(load.Concurrency{Loops: 1})
	if err != nil {
		return err
	}
	ends = append(ends, likers.Close)
	shown := []int64{int64(c.Likes + 1), 0, 0}
	one, err := c.bytes(s, likers, shown, 1, regions[1], []*peer.Server{shows})
	if err != nil {
		return err
	}
	servers := []*peer.Server{shows}
	for len(servers) < c.Instances {
		server, err := near(regions[1])
		if err != nil {
			return err
		}
		servers = append(servers, server)
	}
	many, err := c.bytes(s, likers, shown, 2, regions[1], servers)
	if err != nil {
		return err
	}
	c.report(s, map[string]*hdrhistogram.Histogram{
		firstNear: withReplica, firstFar: without, healthz: floor, likeToScreen: screens,
	}, one, many)
	return s.report.Record(map[string]any{
		"RoundTripMs": c.RoundTrip.Milliseconds(), "FirstP99": withReplica.ValueAtQuantile(99), "FirstFarP99": without.ValueAtQuantile(99), "FloorP99": floor.ValueAtQuantile(99),
		"ScreenP99": screens.ValueAtQuantile(99), "Unit": "µs", "Instances": c.Instances, "LinkBytes": one, "LinkBytesMany": many,
	})
}

// The figures of the table.
const (
	firstNear    = "first number of a page, with a replica"
	firstFar     = "first number of a page, without"
	healthz      = "/healthz over a new connection"
	likeToScreen = "like in one region to the screen in another"
)

func (c *regionsCase) report(s *session, all map[string]*hdrhistogram.Histogram, one, many linkBytes) {
	table := s.report.Table("what", "p50 ms", "p99 ms", "max ms")
	var bars []report.Bar
	p99 := map[string]float64{}
	for _, figure := range []struct {
		what, bar string
		isOurs    bool
	}{
		{healthz, "/healthz", false}, {firstNear, "first number, replica", true},
		{firstFar, "first number, without", false}, {likeToScreen, "like to screen", true},
	} {
		h := all[figure.what]
		at := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
		p99[figure.what] = at(99)
		table.Row(figure.what, at(50), at(99), float64(h.Max())/1000)
		bars = append(bars, report.Bar{Name: figure.bar, Summary: measure.Summary{Min: at(50), Median: at(50), Max: at(99)}, Ours: figure.isOurs})
	}
	bytes := s.report.Table("instances", "bytes a like on the link of the replica", "bytes a like on the lines of the instances")
	perLike := func(n int64) float64 { return float64(n) / float64(c.LinkLikes) }
	bytes.Row(1, perLike(one.Link), perLike(one.Line))
	bytes.Row(c.Instances, perLike(many.Link), perLike(many.Line))
	delay := float64(c.RoundTrip.Milliseconds()) // to the primary, and on to the other region
	s.report.Target(report.Target{What: firstNear + ", p99", Figure: p99[firstNear], Limit: firstNumberTarget, Unit: "ms"})
	s.report.Target(report.Target{What: likeToScreen + ", p99", Figure: p99[likeToScreen], Limit: delay + beyondDelay, Unit: "ms"})
	s.report.Target(report.Target{What: fmt.Sprintf("bytes on the link with %d instances, relative to one", c.Instances), Figure: float64(many.Link) / float64(one.Link), Limit: linkTarget})
	s.report.Bars("ms: p50, and up to p99", bars)
}

// awaitReplica waits until an instance uses its replica.
func (c *regionsCase) awaitReplica(s *session, server *peer.Server) error {
	ctx, cancel := s.timeout(usedWithin)
	defer cancel()
	for {
		answer, err := http.Get("http://" + server.Address + "/readyz")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || strings.Contains(string(body), `"replica":{"status":"used"`) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the replica is not used: %s", body)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// firstLine requests path over a new connection, and returns the time until a line of the response contains text.
func firstLine(server *peer.Server, path, text string) (time.Duration, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	answer, err := client.Get("http://" + server.Address + path)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return time.Since(began), nil
		}
	}
	return 0, errors.Join(fmt.Errorf("%s ended without %q", path, text), lines.Err())
}

// likeToScreen sends likes to one instance while viewers watch another.
func (c *regionsCase) likeToScreen(s *session, first, second *peer.Server) (*hdrhistogram.Histogram, error) {
	latency := latencyCase{Viewers: c.Viewers, Rate: 5, Likes: c.Likes}
	return latency.between(s, first, second, load.SSE)
}

// linkBytes are bytes of a region: on the link of the replica, and on the lines of the
// instances.
type linkBytes struct{ Link, Line int64 }

// bytes returns what passes while likes are sent in the home region, and viewers of all servers
// show them. The topic is a new one, since a like takes more bytes the more a topic has. shown
// has the count of each topic.
func (c *regionsCase) bytes(s *session, likers *load.Likers, shown []int64, topic int, g *peer.Region, servers []*peer.Server) (n linkBytes, err error) {
	var plans []load.Plan
	for _, server := range servers {
		plans = append(plans, load.Plan{Endpoint: server.Endpoint(load.SSE), Viewers: c.Viewers, Topics: len(shown), PerViewer: len(shown)})
	}
	audience, err := load.NewAudience(plans...)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, audience.Close()) }()
	ctx, cancel := s.timeout(enterWithin)
	defer cancel()
	if err := audience.Open(ctx); err != nil {
		return n, err
	}
	if err := s.wait(2 * time.Second); err != nil { // until the leaderboards are written
		return n, err
	}
	before := linkBytes{g.Link.Bytes.Load(), g.Line.Bytes.Load()}
	for range c.LinkLikes {
		if _, err := likers.One(topic); err != nil { // alone: the bytes depend on the size of batches
			return n, err
		}
	}
	shown[topic] = c.LinkLikes
	ctx, end := s.timeout(settleWithin)
	defer end()
	if err := audience.Await(ctx, shown); err != nil {
		return n, err
	}
	return linkBytes{g.Link.Bytes.Load() - before.Link, g.Line.Bytes.Load() - before.Line}, nil
}
