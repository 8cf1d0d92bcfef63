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
	arguments []string
	out       io.Writer
	progress  io.Writer

	report *report.Case
	errs   []error // who fell short
	began  time.Time
}

// measured runs a case: the load generator is checked first, and what was
// measured is shown and saved even where somebody fell short.
func (s *session) measured(name, title string, run func() error) error {
	s.began, s.errs = time.Now(), nil
	s.report = &report.Case{Name: name, Title: title, Machine: measure.Machine(), Command: s.command}
	s.say("checking the load generator against known patterns")
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
		return fmt.Errorf("%s: somebody fell short:\n%w", name, errors.Join(s.errs...))
	}
	return nil
}

// say shows what is done now, in the same line where that is a terminal.
func (s *session) say(format string, args ...any) {
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

// fellShort notes that who did not get what was promised. The case goes on, and
// fails in the end.
func (s *session) fellShort(who string, err error) {
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("%s: %w", who, err))
		s.say("%s: %v", who, err)
	}
}

// start starts a peer, beside others on one Redis unless that is nil.
func (s *session) start(p *peer.Peer, redis *peer.Redis) (*peer.Server, error) {
	s.report.Setting(p.Name, p.Settings)
	return p.Start(s.ctx, peer.Options{Redis: redis, Binary: s.binary, Arguments: s.arguments})
}

// with starts a peer, hands its server to use, and stops it. Errors are those of
// the peer: the case goes on without it and fails in the end.
func (s *session) with(p *peer.Peer, use func(*peer.Server) error) {
	server, err := s.start(p, nil)
	if err == nil {
		err = errors.Join(use(server), server.Stop())
	}
	s.fellShort(p.Name, err)
}

// within is a deadline for something that should take no time near it.
func (s *session) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.ctx, d)
}

// wait waits for a time that is part of what is measured.
func (s *session) wait(d time.Duration) error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// figures are the values of one figure, by who it is of.
type figures map[string][]float64

func (f figures) add(who string, value float64) { f[who] = append(f[who], value) }

// each is the value of f of who divided by the one that other had in the same round.
func (f figures) each(who, other string) (ratios []float64) {
	for i, value := range f[who] {
		if i < len(f[other]) {
			ratios = append(ratios, value/f[other][i])
		}
	}
	return ratios
}

// median is the median of who's values.
func (f figures) median(who string) float64 { return measure.Summarise(f[who]).Median }

// ratio is the median of who's values, each divided by other's in the same round.
func (f figures) ratio(who, other string) float64 {
	return measure.Summarise(f.each(who, other)).Median
}

// spread is min, median and max as one cell.
func spread(s measure.Summary) string {
	return fmt.Sprintf("%s / %s / %s", report.Number(s.Min), report.Number(s.Median), report.Number(s.Max))
}

// micros is d in µs.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// transports reads a --transport.
func transports(name string) []load.Transport {
	if name == "both" {
		return []load.Transport{load.SSE, load.WebSocket}
	}
	return []load.Transport{load.Transport(name)}
}

// name is a peer on a transport.
func name(p *peer.Peer, t load.Transport) string { return p.Name + " " + string(t) }
