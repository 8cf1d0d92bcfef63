package owner

import (
	"context"
	"errors"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// rereadEvery is how often the settings are read without a message that they
	// changed: a lost message delays them by that much.
	rereadEvery = 5 * time.Second
	// registerFormat is the payload of the broadcast that settings changed. Payloads of
	// other kinds begin with other bytes.
	registerFormat = "o\x01"
)

// SettingsChanged returns the payload that tells other instances to read the settings.
func SettingsChanged() []byte { return []byte(registerFormat) }

// Receive takes what another instance broadcast; false for a payload of another kind.
func (d *Service) Receive(payload []byte) bool {
	if string(payload) != registerFormat {
		return false
	}
	notify(d.settingsChanged)
	return true
}

// notify leaves a word in a channel that holds one.
func notify(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default: // it is there already
	}
}

// set sets an entry of the register, and has all instances follow it.
func (d *Service) set(ctx context.Context, name, value string) error {
	if err := d.store.SetSetting(ctx, name, value); err != nil {
		return err
	}
	d.broadcast(SettingsChanged())
	_, err := d.loadSettings(ctx)
	return err
}

// reload has all instances read the settings. Where this one cannot, it does so soon.
func (d *Service) reload(ctx context.Context) {
	d.broadcast(SettingsChanged())
	if _, err := d.loadSettings(ctx); err != nil {
		notify(d.settingsChanged)
	}
}

// WithReload returns the store; every instance reads the settings after an entry of the
// register was set in it.
func (d *Service) WithReload() Store { return reloading{d.store, d} }

type reloading struct {
	Store
	service *Service
}

func (r reloading) SetSetting(ctx context.Context, name, value string) error {
	return r.service.set(ctx, name, value)
}

func (r reloading) SwapSettings(ctx context.Context, expected, entries map[string]string) (bool, error) {
	swapped, err := r.Store.SwapSettings(ctx, expected, entries)
	if swapped {
		r.service.reload(ctx)
	}
	return swapped, err
}

// loadSettings reads the register, makes the service follow it, and returns it.
func (d *Service) loadSettings(ctx context.Context) (map[string]string, error) {
	register, invalid, err := d.service.LoadSettings(ctx)
	if err != nil {
		return nil, err
	}
	d.settings.mu.Lock()
	defer d.settings.mu.Unlock()
	d.signOutLocked(register)
	complaint := ""
	if invalid != nil {
		complaint = invalid.Error()
	}
	if complaint != "" && complaint != d.settings.complaint {
		d.log.Error("settings cannot be parsed; the others are followed", "error", errors.New(complaint))
	}
	d.settings.complaint = complaint
	return register, nil
}

// forgetAliases removes the aliases of topic, once it was reset or deleted, which left
// it at version emptied: no contribution under them is left. Where contributions came
// since it does nothing. A claim keeps merges away meanwhile.
func (d *Service) forgetAliases(ctx context.Context, topic tally.Topic, emptied int64) error {
	name, _ := tally.AliasSetting(topic, nil)
	register, err := d.store.Settings(ctx)
	if err != nil || register[name] == "" {
		return err
	}
	l, err := d.acquire(ctx, claim{To: topic.String()})
	if err != nil {
		return err
	}
	err = l.forgetAliases(ctx, topic, emptied)
	l.end(ctx, err)
	d.reload(ctx)
	return err
}

func (l *lease) forgetAliases(ctx context.Context, topic tally.Topic, emptied int64) error {
	// Frozen, so that no contribution under an alias comes in between.
	if err := l.mark(ctx, topic, tally.FrozenMark(l.ID, "")); err != nil {
		return err
	}
	state, err := l.service.Get(ctx, topic)
	if err == nil && state.Version == emptied {
		err = l.removeAliases(ctx, topic)
	}
	if err != nil {
		return tally.Unavailable(errors.Join(err, l.release(ctx, topic)))
	}
	return l.release(ctx, topic)
}

// removeAliases removes the aliases of topic from the register.
func (l *lease) removeAliases(ctx context.Context, topic tally.Topic) error {
	return l.step(ctx, func(ctx context.Context) error {
		removed := map[string]string{}
		for _, name := range tally.AliasSettings(topic) {
			removed[name] = ""
		}
		_, err := l.service.store.SwapSettings(ctx, nil, removed)
		return err
	})
}
