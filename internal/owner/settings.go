package owner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
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

// SettingsChanged returns the payload that makes other instances read the settings.
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
	mu            sync.Mutex
	loggedError   string               // about entries that cannot be parsed; guarded by mu
	endedSessions map[string]time.Time // when they expire; guarded by mu
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

// loadSettings reads the settings, follows them and returns them.
func (s *Service) loadSettings(ctx context.Context) (map[string]string, error) {
	settings, invalid, err := s.service.LoadSettings(ctx)
	if err != nil {
		return nil, err
	}
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

// EndSession ends a session of the dashboard that expires at until: at once on this
// instance, within [settingsInterval] on others. It removes expired settings of this kind.
// Errors: [tally.CodeStoreUnavailable]; then other instances still accept the session.
func (s *Service) EndSession(ctx context.Context, name string, until time.Time) error {
	s.settings.mu.Lock()
	s.settings.endedSessions[name] = until
	s.settings.mu.Unlock()
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return err
	}
	changed := map[string]string{}
	for entry, value := range settings {
		if strings.HasPrefix(entry, sessionPrefix) && s.now().After(sessionExpiry(value)) {
			changed[entry] = ""
		}
	}
	changed[sessionPrefix+name] = until.UTC().Format(time.RFC3339)
	return s.set(ctx, changed)
}

// SessionEnded reports whether the session of that name was ended.
func (s *Service) SessionEnded(name string) bool {
	s.settings.mu.Lock()
	defer s.settings.mu.Unlock()
	_, ended := s.settings.endedSessions[name]
	return ended
}

// followSessionsLocked adds the ended sessions of the settings and removes expired ones.
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

// sessionExpiry parses the value of a setting; an invalid value has expired.
func sessionExpiry(value string) time.Time {
	expiry, _ := time.Parse(time.RFC3339, value)
	return expiry
}
