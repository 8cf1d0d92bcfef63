package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// Limits of the cost of a like, relative to the INCR and PUBLISH of naive: server and Redis, on
// one topic and on many; Redis alone; the additional cost of limits that are on but not
// reached; and of durable likes on SQLite, relative to a transaction for each like.
const (
	hotTarget    = 0.5
	spreadTarget = 0.75
	// Of likes over open sockets.
	hotSocketTarget    = 0.25
	spreadSocketTarget = 0.6
	redisTarget        = 0.4
	spreadRedisTarget  = 1.1
	limitsTarget       = 0.05
	// Of a choice, relative to a like.
	choiceTarget = 1.15
	sqliteTarget = 10.0
)

// checkedTopics is the number of counts that are compared with the likes sent.
const checkedTopics = 200

type likesCase struct {
	Connections       int           `help:"Likes in flight." default:"64"`
	Topics            int           `help:"Topics over which likes spread at random." default:"10000"`
	Addresses         int           `help:"Client addresses of likes with limits on, and of many clients without limits; with 1000, two fast cores reach the limit of 20 a second each." default:"2000"`
	Duration          time.Duration `help:"Time of each measurement." default:"10s"`
	Warm              time.Duration `help:"Time of likes before each measurement." default:"2s"`
	Runs              int           `help:"Rounds; every server runs once in each." default:"5"`
	SQLiteConnections int           `name:"sqlite-connections" help:"Likes in flight on SQLite." default:"256"`
	Peers             []string      `help:"Only these peers (names, comma-separated)."`
}

// liked is the cost of likes.
type liked struct {
	Peer          string
	Topics        int
	Likes         int64
	Rate          float64 // a second
	Server, Redis float64 // µs of CPU a like
	P50, P99      float64 // ms until a like was acknowledged
}

// Run measures the cost of likes.
func (c *likesCase) Run(s *session) error {
	peers := s.withBaseline([]*peer.Peer{
		peer.Empty(), peer.Tallycast(), peer.TallycastChoices(), peer.TallycastSockets(), peer.TallycastManyClients(), peer.TallycastLimited(), peer.Naive(), peer.Webdis(), peer.SocketIO(),
		peer.TallycastSQLite(), peer.PlainSQLite(),
	})
	if s.baseline != "" {
		peers = append(peers, peer.BaselineSockets(s.baseline))
	}
	picked, err := selectPeers(peers, c.Peers)
	if err != nil {
		return err
	}
	return s.runCase("likes", fmt.Sprintf("CPU of server and Redis a like, %d in flight, %d runs", c.Connections, c.Runs), func() error {
		cost, ofRedis, rate := figures{}, figures{}, figures{}
		last := map[string]liked{}
		measureOne := func(p *peer.Peer, topics int, how load.Concurrency) {
			s.withServer(p, func(server *peer.Server) error {
				m, err := c.measure(s, server, topics, how)
				if m.Likes > 0 {
					who := likedName(p, topics)
					cost.add(who, m.Server+m.Redis)
					ofRedis.add(who, m.Redis)
					rate.add(who, m.Rate)
					last[who] = m
					s.progressf("%s: %.1f µs a like, %.0f likes a second", who, m.Server+m.Redis, m.Rate)
				}
				return err
			})
		}
		for round := range c.Runs {
			for _, topics := range []int{1, c.Topics} {
				for _, p := range picked {
					if how, ok := c.concurrency(p, topics); ok && s.ctx.Err() == nil {
						s.progressf("round %d of %d: %s on %d topics", round+1, c.Runs, p.Name, topics)
						measureOne(p, topics, how)
					}
				}
			}
		}
		c.report(s, picked, cost, ofRedis, rate, last)
		return s.ctx.Err()
	})
}

// concurrency returns how likes are sent to a peer, or false if the peer is not measured
// with so many topics.
func (c *likesCase) concurrency(p *peer.Peer, topics int) (how load.Concurrency, ok bool) {
	if p.LikesBySocket() {
		return load.Concurrency{Loops: c.Connections, Watched: topics}, true
	}
	switch p.Name {
	case peer.TallycastSQLite().Name, peer.PlainSQLite().Name:
		return load.Concurrency{Loops: c.SQLiteConnections}, topics == 1
	case peer.TallycastLimited().Name, peer.TallycastManyClients().Name:
		return load.Concurrency{Loops: c.Connections, Addresses: c.Addresses}, true
	}
	return load.Concurrency{Loops: c.Connections}, true
}

// likedName returns the name of a peer with the spread of its likes.
func likedName(p *peer.Peer, topics int) string {
	if topics == 1 {
		return p.Name + ", hot"
	}
	return p.Name + ", spread"
}

func (c *likesCase) report(s *session, peers []*peer.Peer, cost, ofRedis, rate figures, last map[string]liked) {
	table := s.report.Table("server and topics", "µs a like (min / median / max)", "in Redis", "× naive", "likes a second", "p50 ms", "p99 ms")
	var bars []report.Bar
	row := func(p *peer.Peer, topics int) {
		who, naive := likedName(p, topics), likedName(peer.Naive(), topics)
		if len(cost[who]) == 0 {
			return
		}
		summary := measure.Summarise(cost[who])
		table.Row(who, spread(summary), ofRedis.median(who), cost.ratio(who, naive), rate.median(who), last[who].P50, last[who].P99)
		bars = append(bars, report.Bar{Name: who, Summary: summary, Ours: p.Name == "tallycast"})
	}
	for _, topics := range []int{1, c.Topics} {
		for _, p := range peers {
			row(p, topics)
		}
	}
	s.report.Bars("µs of CPU a like", bars)

	for _, topics := range []int{1, c.Topics} {
		naive, limit := likedName(peer.Naive(), topics), hotTarget
		if topics != 1 {
			limit = spreadTarget
		}
		us := likedName(peer.Tallycast(), topics)
		s.report.Target(report.Target{What: us + ", beside naive", Figure: cost.ratio(us, naive), Limit: limit, Unit: "×"})
		sockets, limit := likedName(peer.TallycastSockets(), topics), hotSocketTarget
		if topics != 1 {
			limit = spreadSocketTarget
		}
		s.report.Target(report.Target{What: sockets + ", beside naive", Figure: cost.ratio(sockets, naive), Limit: limit, Unit: "×"})
		s.report.Target(report.Target{What: likedName(peer.TallycastChoices(), topics) + ", beside likes", Figure: cost.ratio(likedName(peer.TallycastChoices(), topics), us), Limit: choiceTarget, Unit: "×"})
		// Compared with as many connections without limits: connections cost every server.
		limited, free := likedName(peer.TallycastLimited(), topics), likedName(peer.TallycastManyClients(), topics)
		s.report.Target(report.Target{What: limited + ", more than without", Figure: cost.ratio(limited, naive) - cost.ratio(free, naive), Limit: limitsTarget, Unit: "×"})
	}
	for topics, limit := range map[int]float64{1: redisTarget, c.Topics: spreadRedisTarget} {
		us, naive := likedName(peer.Tallycast(), topics), likedName(peer.Naive(), topics)
		s.report.Target(report.Target{What: us + ", Redis's own share, beside naive's", Figure: ofRedis.ratio(us, naive), Limit: limit, Unit: "×"})
	}
	if len(rate[likedName(peer.TallycastSQLite(), 1)]) > 0 {
		durable, plain := likedName(peer.TallycastSQLite(), 1), likedName(peer.PlainSQLite(), 1)
		s.report.Target(report.Target{What: "durable likes a second, beside a transaction each", Figure: rate.ratio(durable, plain), Limit: sqliteTarget, Unit: "×", AtLeast: true})
	}
}

// measure measures the cost of likes on a server that was just started.
func (c *likesCase) measure(s *session, server *peer.Server, topics int, how load.Concurrency) (m liked, err error) {
	m = liked{Peer: server.Peer.Name, Topics: topics}
	likers, err := server.Likers(how)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, likers.Close()) }()
	warm, err := likers.Run(s.ctx, load.Job{Topics: topics, For: c.Warm})
	if err != nil {
		return m, err
	}
	before, err := server.CPU()
	if err != nil {
		return m, err
	}
	result, err := likers.Run(s.ctx, load.Job{Topics: topics, For: c.Duration})
	if err != nil {
		return m, err
	}
	after, err := server.CPU()
	if err != nil {
		return m, err
	}
	cost := after.Sub(before)
	m.Likes, m.Rate = result.Likes, result.Rate()
	m.Server, m.Redis = micros(cost.Server)/float64(m.Likes), micros(cost.Redis)/float64(m.Likes)
	m.P50 = float64(result.Latency.ValueAtQuantile(50)) / 1000
	m.P99 = float64(result.Latency.ValueAtQuantile(99)) / 1000
	for i, n := range warm.PerTopic {
		result.PerTopic[i] += n
	}
	return m, errors.Join(checkCounts(server, result.PerTopic), s.report.Record(m))
}

// checkCounts compares some counts of tallycast with the likes that it acknowledged. Peers
// have no such call.
func checkCounts(server *peer.Server, likes []int64) error {
	if !server.Peer.IsTallycast() {
		return nil
	}
	for topic, want := range likes[:min(checkedTopics, len(likes))] {
		answer, err := http.Get(fmt.Sprintf("http://%s/v1/%s", server.Address, load.Topic(topic)))
		if err != nil {
			return err
		}
		var got struct{ Count int64 }
		err = json.NewDecoder(answer.Body).Decode(&got)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return fmt.Errorf("read a count: %w", err)
		}
		if got.Count != want {
			return fmt.Errorf("%s has %d likes where %d were acknowledged", load.Topic(topic), got.Count, want)
		}
	}
	return nil
}
