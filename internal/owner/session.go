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
func (d *Desk) EndSession(ctx context.Context, name string, until time.Time) error {
	d.orders.mu.Lock()
	if d.orders.signedOut == nil {
		d.orders.signedOut = map[string]time.Time{}
	}
	d.orders.signedOut[name] = until
	d.orders.mu.Unlock()
	register, err := d.store.Register(ctx)
	if err != nil {
		return err
	}
	for old, value := range register {
		if strings.HasPrefix(old, sessionPrefix) && d.now().After(sessionEnd(value)) {
			if err := d.store.SetRegister(ctx, old, ""); err != nil {
				return err
			}
		}
	}
	return d.order(ctx, sessionPrefix+name, until.UTC().Format(time.RFC3339))
}

// SessionEnded tells whether somebody signed out of the session of that name.
func (d *Desk) SessionEnded(name string) bool {
	d.orders.mu.Lock()
	defer d.orders.mu.Unlock()
	_, ended := d.orders.signedOut[name]
	return ended
}

// signOutLocked takes over which sessions the register says were ended, and drops
// those that ended by themselves. The caller holds the mutex of orders.
func (d *Desk) signOutLocked(register map[string]string) {
	now := d.now()
	for name, until := range d.orders.signedOut {
		if now.After(until) {
			delete(d.orders.signedOut, name)
		}
	}
	for name, value := range register {
		if session, ok := strings.CutPrefix(name, sessionPrefix); ok && !now.After(sessionEnd(value)) {
			if d.orders.signedOut == nil {
				d.orders.signedOut = map[string]time.Time{}
			}
			d.orders.signedOut[session] = sessionEnd(value)
		}
	}
}

// sessionEnd reads the value of an entry; what cannot be read ended long ago.
func sessionEnd(value string) time.Time {
	until, _ := time.Parse(time.RFC3339, value)
	return until
}
