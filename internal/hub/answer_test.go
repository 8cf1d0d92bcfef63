package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// One write has the answer to an assertion and the change, whichever comes first.
func TestAnswer_OneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, feed := running(t, Options{})
		a := topicOf(t, "default/likes/a")
		p, other := viewer(h, -1, a), viewer(h, -1, a)
		h.Settle(change(a, 50))
		want := []string{"default/likes/a=50@50", "live"}
		// next waits until the next flush may be at once, and returns how many writes do makes.
		next := func(do func()) int {
			time.Sleep(time.Second)
			synctest.Wait()
			before := p.writeCount()
			do()
			synctest.Wait()
			return p.writeCount() - before
		}
		answer := func(version int64) {
			h.Answer(&p.Viewer, line(nil, []byte(`{"event":"answer"}`)), change(a, version))
		}

		if n := next(func() { answer(60) }); n != 1 {
			t.Errorf("%d writes for an answer before the change", n)
		}
		want = append(want, "answer", "default/likes/a=60@60")
		other.expect(t, "default/likes/a=50@50", "live", "default/likes/a=60@60")
		if n := next(func() { h.Push(change(a, 55)); h.Push(change(a, 60)) }); n != 0 {
			t.Errorf("%d writes for what is known", n)
		}
		if n := feed.refreshCount(a); n != 0 {
			t.Errorf("read again %d times after changes of before the answer", n)
		}

		p.Unanswered.Add(1)
		if n := next(func() { h.Push(change(a, 70)) }); n != 0 {
			t.Errorf("%d writes before the answer", n)
		}
		// The time of the bubble stands still: the change still waits.
		other.expect(t, "default/likes/a=50@50", "live", "default/likes/a=60@60", "default/likes/a=70@70")
		if n := next(func() {}); n != 0 {
			t.Errorf("%d more writes", n)
		}
		want = append(want, "default/likes/a=70@70") // after answerLead, without an answer
		p.expect(t, want...)

		if n := next(func() { h.Push(change(a, 80)); synctest.Wait(); answer(80) }); n != 1 {
			t.Errorf("%d writes for a change before the answer", n)
		}
		p.expect(t, append(want, "answer", "default/likes/a=80@80")...)
		h.Leave(&p.Viewer, ReasonGone)
		h.Leave(&other.Viewer, ReasonGone)
		synctest.Wait()
	})
}

// An answer does not settle a topic: changes before the subscription may be missing.
func TestAnswer_UnsettledTopic(t *testing.T) {
	h, _ := running(t, Options{})
	a := topicOf(t, "default/likes/a")
	p := viewer(h, -1, a)
	h.Answer(&p.Viewer, line(nil, []byte(`{"event":"answer"}`)), change(a, 60))
	h.Answer(&p.Viewer, line(nil, []byte(`{"event":"answer"}`)), tally.Change{})
	p.expect(t, "answer", "answer")
	h.Settle(change(a, 60))
	p.expect(t, "answer", "answer", "default/likes/a=60@60", "live")
}
