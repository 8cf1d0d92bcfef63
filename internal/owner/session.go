package owner

import (
	"context"
	"strings"
	"time"
)

// sessionPrefix is what the names of the entries begin with that say which session of
// the dashboard somebody signed out of. The value is when it would have ended by
// itself, and the entry with it.
const sessionPrefix = "session "

// EndSession keeps a session of that name from being used: here from now on, at other
// instances within [rereadEvery]. Entries that nobody needs any more go.
// Errors: [tally.CodeStoreUnavailable], where others may still accept it.
func (d *Service) EndSession(ctx context.Context, name string, until time.Time) error {
	d.settings.mu.Lock()
	if d.settings.signedOut == nil {
		d.settings.signedOut = map[string]time.Time{}
	}
	d.settings.signedOut[name] = until
	d.settings.mu.Unlock()
	register, err := d.store.Settings(ctx)
	if err != nil {
		return err
	}
	for old, value := range register {
		if strings.HasPrefix(old, sessionPrefix) && d.now().After(sessionEnd(value)) {
			if err := d.store.SetSetting(ctx, old, ""); err != nil {
				return err
			}
		}
	}
	return d.set(ctx, sessionPrefix+name, until.UTC().Format(time.RFC3339))
}

// SessionEnded tells whether somebody signed out of the session of that name.
func (d *Service) SessionEnded(name string) bool {
	d.settings.mu.Lock()
	defer d.settings.mu.Unlock()
	_, ended := d.settings.signedOut[name]
	return ended
}

// signOutLocked takes over which sessions the register says were ended, and drops
// those that ended by themselves. The caller holds the mutex of settings.
func (d *Service) signOutLocked(register map[string]string) {
	now := d.now()
	for name, until := range d.settings.signedOut {
		if now.After(until) {
			delete(d.settings.signedOut, name)
		}
	}
	for name, value := range register {
		if session, ok := strings.CutPrefix(name, sessionPrefix); ok && !now.After(sessionEnd(value)) {
			if d.settings.signedOut == nil {
				d.settings.signedOut = map[string]time.Time{}
			}
			d.settings.signedOut[session] = sessionEnd(value)
		}
	}
}

// sessionEnd reads the value of an entry; what cannot be read ended long ago.
func sessionEnd(value string) time.Time {
	until, _ := time.Parse(time.RFC3339, value)
	return until
}
