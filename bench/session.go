package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/measure"
	"github.com/tallycast/tallycast/bench/peer"
	"github.com/tallycast/tallycast/bench/report"
)

// session is one run of the bench.
type session struct {
	ctx       context.Context
	results   string
	command   string
	binary    string // see peer.Options
	baseline  string // path of an earlier tallycast, or empty
	arguments []string
	out       io.Writer
	progress  io.Writer

	report *report.Case
	errs   []error // broken promises
	began  time.Time
}

// runCase checks the load generator, runs a case, and prints and saves its results. It
// returns an error if recordFailure was called; the results are saved nevertheless.
func (s *session) runCase(name, title string, run func() error) error {
	s.began, s.errs = time.Now(), nil
	s.report = &report.Case{Name: name, Title: title, Machine: measure.Machine(), Command: s.command}
	s.progressf("checking the load generator against known patterns")
	if err := load.CheckSelf(s.ctx); err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	s.clear()
	if err := errors.Join(s.report.Print(s.out), s.report.Save(s.results, order)); err != nil {
		return err
	}
	if len(s.errs) > 0 {
		return fmt.Errorf("%s: promises were broken:\n%w", name, errors.Join(s.errs...))
	}
	return nil
}

// progressf prints progress; on a terminal it replaces the line.
func (s *session) progressf(format string, args ...any) {
	text := fmt.Sprintf("%5.0fs  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
	if s.terminal() {
		_, _ = fmt.Fprintf(s.progress, "\r\x1b[K%s", text) // it is only progress
	} else {
		_, _ = fmt.Fprintln(s.progress, text)
	}
}

func (s *session) clear() {
	if s.terminal() {
		_, _ = fmt.Fprint(s.progress, "\r\x1b[K")
	}
}

func (s *session) terminal() bool {
	file, ok := s.progress.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// recordFailure records that a peer broke a promise, if err is not nil. The case continues
// and fails in the end.
func (s *session) recordFailure(who string, err error) {
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("%s: %w", who, err))
		s.progressf("%s: %v", who, err)
	}
}

// start starts a peer. It shares redis with other servers unless redis is nil.
func (s *session) start(p *peer.Peer, redis *peer.Redis) (*peer.Server, error) {
	s.report.Setting(p.Name, p.Settings)
	return p.Start(s.ctx, peer.Options{Redis: redis, Binary: s.binary, Arguments: s.arguments})
}

// withBaseline returns peers and, if there is one, the baseline.
func (s *session) withBaseline(peers []*peer.Peer) []*peer.Peer {
	if s.baseline == "" {
		return peers
	}
	return append(peers, peer.Baseline(s.baseline))
}

// withServer starts a peer, calls use, and stops the peer. An error is recorded as a
// failure of the peer: the case continues without it.
func (s *session) withServer(p *peer.Peer, use func(*peer.Server) error) {
	server, err := s.start(p, nil)
	if err == nil {
		err = errors.Join(use(server), server.Stop())
	}
	s.recordFailure(p.Name, err)
}

// timeout returns a context that ends after d, far longer than the work should take.
func (s *session) timeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, d)
}

// wait waits for d, which is part of a measurement.
func (s *session) wait(d time.Duration) error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// figures are the values of one figure by the name of a peer.
type figures map[string][]float64

func (f figures) add(who string, value float64) { f[who] = append(f[who], value) }

// ratios returns the values of who, each divided by the value of other in the same round.
func (f figures) ratios(who, other string) (ratios []float64) {
	for i, value := range f[who] {
		if i < len(f[other]) {
			ratios = append(ratios, value/f[other][i])
		}
	}
	return ratios
}

// median returns the median of the values of who.
func (f figures) median(who string) float64 { return measure.Summarise(f[who]).Median }

// ratio returns the median of ratios.
func (f figures) ratio(who, other string) float64 {
	return measure.Summarise(f.ratios(who, other)).Median
}

// spread returns minimum, median and maximum as one cell.
func spread(s measure.Summary) string {
	return fmt.Sprintf("%s / %s / %s", report.Number(s.Min), report.Number(s.Median), report.Number(s.Max))
}

// micros returns d in µs.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// transports returns the transports that --transport names.
func transports(name string) []load.Transport {
	if name == "both" {
		return []load.Transport{load.SSE, load.WebSocket}
	}
	return []load.Transport{load.Transport(name)}
}

// name returns the name of a peer on a transport.
func name(p *peer.Peer, t load.Transport) string { return p.Name + " " + string(t) }
