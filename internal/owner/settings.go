package owner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// settingsInterval is how often an instance reads the settings without a broadcast, unless
	// the store is a [tally.SettingsFollower]. If a broadcast is lost, the instance follows the
	// change after this time, or with the store's next probe.
	settingsInterval = 5 * time.Second
	// settingsChangedPayload is the payload of the broadcast that settings changed.
	// Payloads of other kinds begin with other bytes.
	settingsChangedPayload = "o\x01"
	// sessionPrefix begins the names of the settings that record ended sessions of the
	// dashboard. The value is when the session, and with it the setting, expires.
	sessionPrefix = "session "
)

// SettingsChanged returns the payload whose broadcast makes other instances read the settings.
func SettingsChanged() []byte { return []byte(settingsChangedPayload) }

// Receive handles a payload that another instance broadcast. It reports whether it knows
// the payload's kind.
func (s *Service) Receive(payload []byte) bool {
	if string(payload) != settingsChangedPayload {
		return false
	}
	notify(s.settingsChanged)
	return true
}

// followedSettings is the part of the settings that the Service keeps in memory.
type followedSettings struct {
	// loading holds an element while the settings are loaded, so that older settings do not replace
	// newer ones.
	loading chan struct{}
	tokens  followedTokens

	mu            sync.Mutex
	loggedError   string               // about entries that cannot be parsed; guarded by mu
	endedSessions map[string]time.Time // when they expire; guarded by mu
}

func newFollowedSettings() *followedSettings {
	return &followedSettings{
		loading:       make(chan struct{}, 1),
		tokens:        followedTokens{byName: map[string]*followedToken{}},
		endedSessions: map[string]time.Time{},
	}
}

// set changes settings and makes all instances follow them.
func (s *Service) set(ctx context.Context, entries map[string]string) error {
	if _, err := s.store.SwapSettings(ctx, nil, entries); err != nil {
		return err
	}
	return s.Reload(ctx)
}

// Reload makes all instances read the settings, this one before Reload returns. If the
// store fails, this instance reads them again soon. Errors: [tally.CodeStoreUnavailable].
func (s *Service) Reload(ctx context.Context) error {
	s.broadcast(SettingsChanged())
	_, err := s.loadSettings(ctx)
	if err != nil {
		notify(s.settingsChanged)
	}
	return err
}

// loadSettings reads the settings, makes this instance follow them, and returns them.
func (s *Service) loadSettings(ctx context.Context) (map[string]string, error) {
	select {
	case s.settings.loading <- struct{}{}:
		defer func() { <-s.settings.loading }()
	case <-ctx.Done():
		return nil, tally.Unavailable(ctx.Err())
	}
	settings, invalid, err := s.service.LoadSettings(ctx)
	if err != nil {
		return nil, err
	}
	invalid = errors.Join(invalid, s.settings.tokens.follow(settings, s.now()))
	text := ""
	if invalid != nil {
		text = invalid.Error()
	}
	s.settings.mu.Lock()
	defer s.settings.mu.Unlock()
	s.followSessionsLocked(settings)
	if text != "" && text != s.settings.loggedError {
		s.log.Error("ignoring settings that cannot be parsed", "error", errors.New(text))
	}
	s.settings.loggedError = text
	return settings, nil
}

// maxEndedSessions bounds the sessions that holders of tokens can end within the life of a
// session. Each ended session is a setting until it expires.
const maxEndedSessions = 1000

// EndSession ends a session of the dashboard that expires at until: at once on this instance, within
// [settingsInterval] on others. It removes the settings of expired sessions. Errors:
// [tally.CodeStoreUnavailable], and [tally.CodeRateLimited] if holders of tokens ended too many
// sessions; after these, other instances accept the session until it expires.
func (s *Service) EndSession(ctx context.Context, access Access, name string, until time.Time) error {
	s.settings.mu.Lock()
	s.settings.endedSessions[name] = until
	s.settings.mu.Unlock()
	settings, err := s.root.store.Settings(ctx)
	if err != nil {
		return err
	}
	changed, present := map[string]string{}, 0
	for entry, value := range settings {
		switch {
		case !strings.HasPrefix(entry, sessionPrefix):
		case s.now().After(sessionExpiry(value)):
			changed[entry] = ""
		default:
			present++
		}
	}
	if present >= maxEndedSessions && access.Role != Admin {
		return &tally.Error{
			Code: tally.CodeRateLimited, RetryAfter: time.Hour,
			Message: "too many sessions were signed out; this one has ended on this instance only, and ends on the others when it expires",
		}
	}
	changed[sessionPrefix+name] = until.UTC().Format(time.RFC3339)
	return s.root.set(ctx, changed)
}

// SessionEnded reports whether the session of that name was ended.
func (s *Service) SessionEnded(name string) bool {
	s.settings.mu.Lock()
	defer s.settings.mu.Unlock()
	_, ended := s.settings.endedSessions[name]
	return ended
}

// followSessionsLocked adds the ended sessions in settings, and removes expired ones.
func (s *Service) followSessionsLocked(settings map[string]string) {
	ended := s.settings.endedSessions
	for name, value := range settings {
		if session, ok := strings.CutPrefix(name, sessionPrefix); ok {
			ended[session] = sessionExpiry(value)
		}
	}
	for session, expiry := range ended {
		if s.now().After(expiry) {
			delete(ended, session)
		}
	}
}

// sessionExpiry parses the value of a session's setting. For an invalid value it returns the zero
// time, which has passed.
func sessionExpiry(value string) time.Time {
	expiry, _ := time.Parse(time.RFC3339, value)
	return expiry
}
