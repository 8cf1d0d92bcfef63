package push

import (
	"net/netip"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// A client that asks for refused topics again and again, on one connection or on many, leaves
// room for those of others.
func TestWaitingTopics_Bound(t *testing.T) {
	w := waitingTopics{byConn: map[*conn][]tally.Topic{}}
	hostile := &client{address: netip.MustParseAddr("192.0.2.1")}
	first, other := &conn{client: hostile}, &conn{client: &client{address: netip.MustParseAddr("192.0.2.2")}}
	for range 2 * maxWaiting / tally.MaxTopics {
		w.add(first, make([]tally.Topic, tally.MaxTopics))
	}
	if len(w.byConn[first]) != tally.MaxTopics {
		t.Errorf("%d topics of one connection wait", len(w.byConn[first]))
	}
	conns := []*conn{first}
	for range 2 * maxWaiting / tally.MaxTopics {
		c := &conn{client: hostile}
		conns = append(conns, c)
		w.add(c, make([]tally.Topic, tally.MaxTopics))
	}
	w.add(other, make([]tally.Topic, 2))
	if hostile.waiting != maxWaitingPerAddress || len(w.byConn[other]) != 2 || w.count != maxWaitingPerAddress+2 {
		t.Errorf("%d and %d topics wait, %d in all", hostile.waiting, len(w.byConn[other]), w.count)
	}
	for _, c := range conns {
		w.end(c)
	}
	w.remove(other, make([]tally.Topic, 1))
	if w.count != 0 || hostile.waiting != 0 || len(w.byConn) != 0 {
		t.Errorf("%d topics wait after the end", w.count)
	}
}
