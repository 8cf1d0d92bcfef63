package load

import (
	"context"
	"errors"
	"sync"
)

// Audience is the viewers of one or several servers, in as many processes as needed. Its
// methods correspond to those of [Crowd].
type Audience struct {
	local   []*Crowd
	remotes []*remote
}

// NewAudience returns the viewers of the plans, not yet connected: in this process if one
// is enough, else in processes of [PerProcess] viewers. [Audience.Close] ends them.
func NewAudience(plans ...Plan) (_ *Audience, err error) {
	a := &Audience{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if len(plans) == 1 && plans[0].Viewers <= PerProcess {
		c, err := NewCrowd(plans[0])
		if err != nil {
			return a, err
		}
		a.local = append(a.local, c)
		return a, nil
	}
	offset := 0
	for _, plan := range plans {
		for left := plan.Viewers; left > 0; left -= PerProcess {
			part := plan
			part.Viewers, part.Offset = min(left, PerProcess), offset
			offset += part.Viewers
			r, err := newRemote(part)
			if err != nil {
				return a, err
			}
			a.remotes = append(a.remotes, r)
		}
	}
	return a, nil
}

// each makes the same call on all crowds at once and returns all errors.
func (a *Audience) each(ctx context.Context, local func(*Crowd) error, call workerCall) error {
	var (
		work sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	failed := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	for _, c := range a.local {
		work.Go(func() { failed(local(c)) })
	}
	for _, r := range a.remotes {
		work.Go(func() {
			_, err := r.call(ctx, call)
			failed(err)
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// Open connects all viewers.
func (a *Audience) Open(ctx context.Context) error {
	return a.each(ctx, func(c *Crowd) error { return c.Open(ctx) }, workerCall{Method: "open"})
}

// Leave disconnects all viewers at once.
func (a *Audience) Leave(ctx context.Context) error {
	return a.each(ctx, func(c *Crowd) error { c.Leave(); return nil }, workerCall{Method: "leave"})
}

// Await waits until all viewers have the final counts.
func (a *Audience) Await(ctx context.Context, finals []int64) error {
	return a.each(ctx, func(c *Crowd) error { return c.Await(ctx, finals) }, workerCall{Method: "await", Finals: finals})
}

// Reset sets all counters to 0.
func (a *Audience) Reset(ctx context.Context) error {
	return a.each(ctx, func(c *Crowd) error { c.Reset(); return nil }, workerCall{Method: "reset"})
}

// Report returns the sum of the reports of all crowds. Times are meaningful only if all
// viewers are in this process.
func (a *Audience) Report(ctx context.Context) (sum Report, err error) {
	first := true
	add := func(r Report) {
		if first {
			sum, first = r, false
			return
		}
		sum.Add(r)
	}
	for _, c := range a.local {
		add(c.Report())
	}
	for _, r := range a.remotes {
		report, err := r.call(ctx, workerCall{Method: "report"})
		if err != nil {
			return sum, err
		}
		add(report)
	}
	return sum, nil
}

// Close ends all crowds and processes.
func (a *Audience) Close() error {
	var errs []error
	for _, c := range a.local {
		errs = append(errs, c.Close())
	}
	for _, r := range a.remotes {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}
