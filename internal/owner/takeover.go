package owner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// maxForeign bounds the claims that are remembered as logged.
const maxForeign = 1000

// claims records since when each claim in the settings is unchanged.
type claims struct {
	mu      sync.Mutex
	since   map[string]time.Time // by value; guarded by mu
	foreign map[string]bool      // values that this instance cannot carry out; guarded by mu
}

// abandoned returns the values of the claims in settings that their holder released, or
// has not renewed for the lease time.
func (s *Service) abandoned(settings map[string]string) (values []string) {
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	since := map[string]time.Time{}
	for name, value := range settings {
		if strings.HasPrefix(name, tally.ClaimPrefix) {
			if since[value] = time.Now(); !s.claims.since[value].IsZero() {
				since[value] = s.claims.since[value]
			}
		}
	}
	s.claims.since = since
	for value, seen := range since {
		var c claim
		if json.Unmarshal([]byte(value), &c) == nil && (c.Holder == "" || time.Since(seen) >= s.leaseTime) {
			values = append(values, value)
		}
	}
	return values
}

// takeOver takes over the abandoned claim of that value and carries out its merge. It does
// nothing if another instance was faster.
func (s *Service) takeOver(ctx context.Context, value string) error {
	var c claim
	if err := json.Unmarshal([]byte(value), &c); err != nil {
		return fmt.Errorf("claim %q: %w", value, err)
	}
	from, to, err := c.topics()
	if err == nil && c.From != "" {
		err = s.checkMergeable([]tally.Topic{from}, to)
	}
	if err != nil {
		return s.skipForeign(value, err)
	}
	before := c.entries(value)
	c.Holder = rand.Text() // two attempts of one instance are two holders
	c.Beat++
	l := &lease{claim: c, service: s, renewed: time.Now()}
	if swapped, err := s.store.SwapSettings(ctx, before, c.entries(c.text())); err != nil || !swapped {
		return err
	}
	err = l.merge(ctx)
	l.end(ctx, err)
	switch {
	case retryable(err) || c.From == "":
		return err
	case err != nil:
		s.log.Warn("refused a merge that another instance left unfinished", "from", c.From, "to", c.To, "error", err)
		return nil // its topics are free again
	}
	s.log.Warn("finished a merge that another instance left unfinished", "from", c.From, "to", c.To)
	return s.Audit(ctx, "tallycast serve", "merge", c.From+" → "+c.To, "finished what another instance left unfinished")
}

// skipForeign logs once that this instance cannot carry out the claim of that value, for
// example because it does not know the site, and returns [tally.ErrFrozen].
func (s *Service) skipForeign(value string, cause error) error {
	s.claims.mu.Lock()
	logged := s.claims.foreign[value]
	if len(s.claims.foreign) >= maxForeign {
		clear(s.claims.foreign)
	}
	s.claims.foreign[value] = true
	s.claims.mu.Unlock()
	if !logged {
		s.log.Error("an unfinished merge waits for an instance whose configuration knows its topics", "claim", value, "error", cause)
	}
	return tally.ErrFrozen
}

// finishAbandoned carries out the abandoned claims that followSettings finds, until ctx
// ends.
func (s *Service) finishAbandoned(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case values := <-s.abandonedClaims:
			for _, value := range values {
				_ = s.takeOver(ctx, value) // followSettings finds it again if this fails
			}
		}
	}
}
