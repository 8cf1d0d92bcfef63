package push

import (
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// A connection that asks for refused topics again and again leaves room for those of others.
func TestWaitingTopics_Bound(t *testing.T) {
	w := waitingTopics{byConn: map[*conn][]tally.Topic{}}
	hostile, other := &conn{}, &conn{}
	for range 2 * maxWaiting / tally.MaxTopics {
		w.add(hostile, make([]tally.Topic, tally.MaxTopics))
	}
	w.add(other, make([]tally.Topic, 2))
	if len(w.byConn[hostile]) != tally.MaxTopics || len(w.byConn[other]) != 2 || w.count != tally.MaxTopics+2 {
		t.Errorf("%d and %d topics wait, %d in all", len(w.byConn[hostile]), len(w.byConn[other]), w.count)
	}
	w.end(hostile)
	w.remove(other, make([]tally.Topic, 1))
	if w.count != 0 || len(w.byConn) != 0 {
		t.Errorf("%d topics wait after the end", w.count)
	}
}
