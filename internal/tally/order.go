package tally

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Names of the entries of [Ledger]'s register that a [Service] obeys. What follows
// is a topic, an address range, or [Service.BlockedVisitor]'s text.
const (
	orderFormer       = "former "
	orderBlockRange   = "block range "
	orderBlockVisitor = "block visitor "
	orderPause        = "pause "
)

// pauseRetry is when to try again what a pause refused: pauses last as long as the
// contributions of a topic take to be carried elsewhere, mostly some milliseconds.
const pauseRetry = time.Second

// FormerOrder returns the entry that says under which names the contributions of
// topic were made, beside its own: those it had before it was renamed, and those
// that were merged into it.
func FormerOrder(topic Topic, former []Topic) (name, value string) {
	names := make([]string, len(former))
	for i, f := range former {
		names[i] = f.String()
	}
	text, _ := json.Marshal(names) // strings cannot fail
	return orderFormer + topic.String(), string(text)
}

// BlockRangeOrder and BlockVisitorOrder return the name of the entry, whose value
// is the reason, that keeps an address range or a visitor from contributing.
func BlockRangeOrder(addresses netip.Prefix) string { return orderBlockRange + addresses.String() }

// BlockVisitorOrder is like [BlockRangeOrder]; the visitor's id stays unknown to the store.
func BlockVisitorOrder(secret []byte, visitor string) string {
	return newIdentity(secret).blockOrder(visitor)
}

func (id *identity) blockOrder(visitor string) string {
	sum := id.sum("blocked", visitor)
	return orderBlockVisitor + hex.EncodeToString(sum[:8])
}

// PauseOrder returns the entry that lets topic take no contributions until then: they
// are answered like those that a store cannot take just now.
func PauseOrder(topic Topic, until time.Time) (name, value string) {
	return orderPause + topic.String(), until.UTC().Format(time.RFC3339Nano)
}

// Blocks returns the entries of register that block somebody: what is blocked, as
// "range 203.0.113.0/24" or "visitor 0123456789abcdef", and why.
func Blocks(register map[string]string) map[string]string {
	blocks := map[string]string{}
	for name, value := range register {
		if what, ok := strings.CutPrefix(name, "block "); ok {
			blocks[what] = value
		}
	}
	return blocks
}

// orders are the register's entries, read.
type orders struct {
	former   map[Topic][]Topic
	ranges   []netip.Prefix
	visitors map[string]bool // names of entries
	paused   map[Topic]time.Time
}

// Obey makes the service follow the orders in register from now on, and no others.
// Entries of other names are left alone. It returns an error where an order cannot
// be read, and follows the rest.
func (s *Service) Obey(register map[string]string) (err error) {
	o := &orders{former: map[Topic][]Topic{}, visitors: map[string]bool{}, paused: map[Topic]time.Time{}}
	for _, name := range slices.Sorted(maps.Keys(register)) { // so that what is wrong is told the same each time
		value := register[name]
		var wrong error
		switch {
		case strings.HasPrefix(name, orderFormer):
			wrong = o.readFormer(name[len(orderFormer):], value)
		case strings.HasPrefix(name, orderBlockRange):
			var addresses netip.Prefix
			if addresses, wrong = netip.ParsePrefix(name[len(orderBlockRange):]); wrong == nil {
				o.ranges = append(o.ranges, addresses.Masked())
			}
		case strings.HasPrefix(name, orderBlockVisitor):
			o.visitors[name] = true
		case strings.HasPrefix(name, orderPause):
			wrong = o.readPause(name[len(orderPause):], value)
		}
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("register entry %q: %w", name, wrong))
		}
	}
	s.orders.Store(o)
	return err
}

func (o *orders) readFormer(name, value string) error {
	topic, err := ParseTopic(name)
	if err != nil {
		return err
	}
	o.former[topic], err = ReadFormer(value)
	return err
}

// ReadFormer returns the topics in the value of a [FormerOrder], none for the empty
// value, and with an error those before the one that cannot be read.
func ReadFormer(value string) (former []Topic, err error) {
	if value == "" {
		return nil, nil
	}
	var names []string
	if err := json.Unmarshal([]byte(value), &names); err != nil {
		return nil, err
	}
	for _, name := range names {
		topic, err := ParseTopic(name)
		if err != nil {
			return former, err
		}
		former = append(former, topic)
	}
	return former, nil
}

func (o *orders) readPause(name, value string) error {
	topic, err := ParseTopic(name)
	if err != nil {
		return err
	}
	o.paused[topic], err = time.Parse(time.RFC3339Nano, value)
	return err
}

// Former returns the names under which contributions of topic were made, beside
// its own.
func (s *Service) Former(topic Topic) []Topic { return slices.Clone(s.orders.Load().former[topic]) }

// Paused tells whether topic takes no contributions just now, see [PauseOrder].
// Errors: [CodeStoreUnavailable].
func (s *Service) Paused(topic Topic) error { return s.orders.Load().holdsUp(topic) }

// holdsUp tells whether topic takes no contributions just now.
// Errors: [CodeStoreUnavailable].
func (o *orders) holdsUp(topic Topic) error {
	if until, ok := o.paused[topic]; ok && time.Now().Before(until) {
		return &Error{
			Code:       CodeStoreUnavailable,
			Message:    "the owner is moving this count just now; the request was not acknowledged and may be repeated",
			RetryAfter: pauseRetry,
		}
	}
	return nil
}

// forbids tells whether somebody may not contribute. Errors: [CodeBlocked].
func (o *orders) forbids(id *identity, client netip.Addr, visitor string) error {
	blocked := client.IsValid() && slices.ContainsFunc(o.ranges, func(p netip.Prefix) bool { return p.Contains(client) })
	if !blocked && len(o.visitors) > 0 {
		blocked = o.visitors[id.blockOrder(visitor)]
	}
	if blocked {
		return Errorf(CodeBlocked, "contributions from here are not accepted")
	}
	return nil
}
