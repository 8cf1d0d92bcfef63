package owner

import (
	"context"
	"errors"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// rereadEvery is how often the register is read without being told to: what a
	// broadcast that was lost costs at most.
	rereadEvery = 5 * time.Second
	// registerFormat is the payload of the broadcast that says so. Those of other
	// kinds begin with other bytes.
	registerFormat = "o\x01"
)

// Received takes what another instance broadcast; false where it is of another kind.
func (d *Desk) Received(payload []byte) bool {
	if string(payload) != registerFormat {
		return false
	}
	tell(d.told)
	return true
}

// tell leaves a word in a channel that holds one.
func tell(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default: // it is there already
	}
}

// order sets an entry of the register, obeys it here, and tells the others.
func (d *Desk) order(ctx context.Context, name, value string) error {
	if err := d.store.SetRegister(ctx, name, value); err != nil {
		return err
	}
	d.broadcast([]byte(registerFormat))
	_, err := d.obey(ctx)
	return err
}

// Obeying returns the store, of which every instance obeys at once what is set in
// the register.
func (d *Desk) Obeying() Store { return obeying{d.store, d} }

type obeying struct {
	Store
	desk *Desk
}

func (o obeying) SetRegister(ctx context.Context, name, value string) error {
	return o.desk.order(ctx, name, value)
}

// obey reads the register, and makes the service follow it.
func (d *Desk) obey(ctx context.Context) (map[string]string, error) {
	number := d.orders.begun.Add(1)
	register, err := d.store.Register(ctx)
	if err != nil {
		return nil, err
	}
	d.orders.mu.Lock()
	defer d.orders.mu.Unlock()
	if number < d.orders.followed {
		return register, nil // one that was begun later is followed already
	}
	d.orders.followed = number
	d.signOutLocked(register)
	complaint := ""
	if err := d.service.Obey(register); err != nil {
		complaint = err.Error()
	}
	if complaint != "" && complaint != d.orders.complaint {
		d.log.Error("an order of the owner cannot be read; the others are followed", "error", errors.New(complaint))
	}
	d.orders.complaint = complaint
	return register, nil
}

// forgetFormer removes the order that says under which names contributions of topic
// were made, once it was emptied, which left it at that version.
//
// Contributions that are carried to it at the same time change its version, and may
// have been made under these names: then they are kept, or named again. Whoever
// carries names them once more at the end, see mergeOne, so that one of both is last.
func (d *Desk) forgetFormer(ctx context.Context, topic tally.Topic, emptied int64) error {
	name, _ := tally.FormerOrder(topic, nil)
	register, err := d.store.Register(ctx)
	if err != nil || register[name] == "" {
		return err
	}
	if now, err := d.version(ctx, topic); err != nil || now != emptied {
		return err
	}
	if err := d.order(ctx, name, ""); err != nil {
		return err
	}
	if now, err := d.version(ctx, topic); err != nil || now == emptied {
		return err
	}
	former, err := tally.ReadFormer(register[name])
	if err != nil {
		return nil // nobody could have read them before either
	}
	return d.addFormer(ctx, topic, former)
}
