package owner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// claims has the claims that this instance found in the settings.
type claims struct {
	mu   sync.Mutex
	seen map[string]*seenClaim // by value; guarded by mu
}

// seenClaim is a claim with one value, which its holder changes regularly.
type seenClaim struct {
	since    time.Time // when this instance first found the value
	isLogged bool      // this instance logged that it cannot carry the claim out
}

// getLocked returns the claim with that value, and adds it if it is new.
func (c *claims) getLocked(value string) *seenClaim {
	if c.seen[value] == nil {
		c.seen[value] = &seenClaim{since: time.Now()}
	}
	return c.seen[value]
}

// isAbandoned reports whether the holder of the claim with that value released the claim, or did not
// renew it for the lease time.
func (s *Service) isAbandoned(value string) bool {
	var c claim
	if json.Unmarshal([]byte(value), &c) != nil {
		return false
	}
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	seen := s.claims.getLocked(value)
	return c.Holder == "" || time.Since(seen.since) >= s.leaseTime
}

// abandoned returns the values of the abandoned claims in settings, which are all settings.
func (s *Service) abandoned(settings map[string]string) (values []string) {
	present := map[string]bool{}
	for name, value := range settings {
		if !strings.HasPrefix(name, tally.ClaimPrefix) || present[value] {
			continue
		}
		present[value] = true
		if s.isAbandoned(value) {
			values = append(values, value)
		}
	}
	s.claims.mu.Lock()
	defer s.claims.mu.Unlock()
	maps.DeleteFunc(s.claims.seen, func(value string, _ *seenClaim) bool { return !present[value] })
	return values
}

// takeOver takes over the abandoned claim with that value and carries out its merge, unless another
// instance has taken it over.
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
	case tally.IsUnavailable(err) || c.From == "":
		return err
	case err != nil:
		s.log.Warn("refused a merge that another instance left unfinished", "from", c.From, "to", c.To, "error", err)
		return nil // the topics are released
	}
	s.log.Warn("finished a merge that another instance left unfinished", "from", c.From, "to", c.To)
	return s.Audit(ctx, tally.AuditEntry{
		Actor: "tallycast serve", Action: "merge", Target: c.From + " → " + c.To, Detail: "finished what another instance left unfinished",
		Sites: sitesOf(tally.ScopeOf(from), tally.ScopeOf(to)),
	})
}

// skipForeign logs once that this instance cannot carry out the claim of that value, for
// example because it does not know the site, and returns [tally.ErrFrozen].
func (s *Service) skipForeign(value string, cause error) error {
	s.claims.mu.Lock()
	seen := s.claims.getLocked(value)
	isLogged := seen.isLogged
	seen.isLogged = true
	s.claims.mu.Unlock()
	if !isLogged {
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
				_ = s.takeOver(ctx, value) // after a failure followSettings finds the claim again
			}
		}
	}
}
