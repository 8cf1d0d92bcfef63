package push_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/push"
)

// answer is an answer to an assertion.
type answer struct {
	ID    *int64
	Topic string
	Count int64
	Error *struct {
		Code       string
		RetryAfter int64 `json:"retry_after"`
	}
}

// answer returns the next answer. It skips other frames.
func (v *viewer) answer() answer {
	v.t.Helper()
	for {
		text, err := v.next()
		if err != nil {
			v.t.Fatalf("next answer: %v", err)
		}
		var a answer
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			v.t.Fatalf("frame %q: %v", text, err)
		}
		if a.ID != nil {
			return a
		}
	}
}

func assertion(key, visitor string, id int) string {
	return fmt.Sprintf(`{"assert":"default/likes/%s","visitor":%q,"amount":1,"id":%d}`, key, visitor, id)
}

func TestAssert_Answers(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("topic=default/likes/a")
	heard.expect("default/likes/a=0", "live")
	sendText(t, ws, assertion("a", "visitor-1", 9007199254740991))
	if a := heard.answer(); *a.ID != 9007199254740991 || a.Topic != "default/likes/a" || a.Count != 1 || a.Error != nil {
		t.Errorf("%+v", a)
	}
	sendText(t, ws, assertion("b b/../c", "visitor-1", 0))
	if a := heard.answer(); *a.ID != 0 || a.Error == nil || a.Error.Code != "bad_topic" || a.Error.RetryAfter != 0 {
		t.Errorf("%+v", a)
	}
	sendText(t, ws, `{"visitor":"visitor-2","id":3,"assert":"default/likes/a"}`) // in another order
	if a := heard.answer(); *a.ID != 3 || a.Count != 2 {
		t.Errorf("%+v", a)
	}
}

// Assertions do not count as messages, of which a client may send 100 at once.
func TestAssert_Many(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("")
	for n := range 500 {
		sendText(t, ws, assertion("a", fmt.Sprintf("visitor-%d", n), n))
		if a := heard.answer(); a.Error != nil || *a.ID != int64(n) || a.Count != int64(n+1) {
			t.Fatalf("%+v", a)
		}
	}
}

// Answers come in any order. Duplicate ids are each answered.
func TestAssert_UnansweredLimit(t *testing.T) {
	i := start(t, push.Options{})
	i.hold = make(chan func(), 100)
	heard, ws := i.socket("")
	for n := range 17 {
		sendText(t, ws, assertion("a", fmt.Sprintf("visitor-%d", n), n/2))
	}
	if a := heard.answer(); *a.ID != 8 || a.Error == nil || a.Error.Code != "rate_limited" || a.Error.RetryAfter != 1 {
		t.Fatalf("the 17th: %+v", a)
	}
	sendText(t, ws, `{"subscribe":["default/likes/other"]}`) // other messages go on
	heard.expect("default/likes/other=0", "live")
	var held []func()
	for range 16 {
		held = append(held, <-i.hold)
	}
	var ids []int64
	for _, make := range slices.Backward(held) {
		make()
		a := heard.answer()
		if a.Error != nil {
			t.Errorf("%+v", a)
		}
		ids = append(ids, *a.ID)
	}
	if got, want := fmt.Sprint(ids), "[7 7 6 6 5 5 4 4 3 3 2 2 1 1 0 0]"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	sendText(t, ws, assertion("a", "visitor-18", 18)) // there is room again
	(<-i.hold)()
	if a := heard.answer(); *a.ID != 18 || a.Error != nil {
		t.Errorf("%+v", a)
	}
}

// A message without a valid id is one that cannot be read: it is answered without an id,
// and too many of them close the connection.
func TestAssert_NoID(t *testing.T) {
	i := start(t, push.Options{})
	heard, ws := i.socket("")
	for range 8 {
		sendText(t, ws, `{"assert":"default/likes/a"}`)
		heard.expect("!bad_body")
	}
	sendText(t, ws, `{"assert":"default/likes/a","id"`)
	if _, err := heard.next(); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v, want 1008", err)
	}
}

// While draining, accepted assertions are answered before 1001, and no more are accepted.
func TestAssert_Drain(t *testing.T) {
	i := start(t, push.Options{})
	i.hold = make(chan func(), 100)
	heard, ws := i.socket("")
	idle, _ := i.socket("")
	sendText(t, ws, assertion("a", "visitor-1", 1))
	sendText(t, ws, assertion("a", "visitor-2", 2))
	first, second := <-i.hold, <-i.hold
	drained := make(chan struct{})
	go func() { // ends when all viewers are closed
		i.server.Drain(t.Context(), 0)
		close(drained)
	}()
	if _, err := idle.next(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Fatalf("the idle connection was closed with %v, want 1001", err)
	}
	sendText(t, ws, assertion("a", "visitor-3", 3))
	first()
	if a := heard.answer(); *a.ID != 1 || a.Error != nil {
		t.Errorf("%+v", a)
	}
	select {
	case <-drained:
		t.Error("drained before the second answer")
	default:
	}
	second()
	if a := heard.answer(); *a.ID != 2 || a.Error != nil {
		t.Errorf("%+v", a)
	}
	if _, err := heard.next(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("closed with %v, want 1001", err)
	}
	<-drained
	if len(i.hold) != 0 {
		t.Error("an assertion was accepted while draining")
	}
}

func TestAssert_ClientLeaves(t *testing.T) {
	i := start(t, push.Options{})
	i.hold = make(chan func(), 100)
	_, ws := i.socket("")
	sendText(t, ws, assertion("a", "visitor-1", 1))
	answer := <-i.hold
	_ = ws.CloseNow()
	i.eventually("the client is gone", func() bool { return i.viewers() == 0 })
	answer()
	i.eventually("the assertion of the client that left is stored", func() bool { return i.like("a", "visitor-2").Count == 2 })
}

// A client that asserts without reading answers is closed, and delays nobody.
func TestAssert_NeverReads(t *testing.T) {
	i := start(t, push.Options{})
	c := i.dial(fmt.Sprintf(handshake, ""))
	flood := strings.Repeat(masked(0x81, `{"assert":"default/no/a","id":1}`), 5_000)
	done := make(chan error)
	go func() { // ends when the server closes c
		for {
			if _, err := io.WriteString(c, flood); err != nil {
				done <- err
				return
			}
		}
	}()
	neighbour, ws := i.socket("")
	sendText(t, ws, assertion("a", "visitor-1", 1))
	if a := neighbour.answer(); a.Error != nil {
		t.Errorf("%+v", a)
	}
	if err := <-done; err == nil || err.(net.Error).Timeout() {
		t.Errorf("the client still sends: %v", err)
	}
	for _, m := range i.hub.Metrics() {
		if m.Name == "viewers_left_total" && m.LabelValue == "overflow" && m.Value != 1 {
			t.Errorf("%v viewers were closed for overflow, want 1", m.Value)
		}
	}
}

// All of many viewers press within a second while all watch: each is answered, and none is
// closed.
func TestAssert_AllPress(t *testing.T) {
	const viewers = 500
	i := start(t, push.Options{})
	var all []*viewer
	var sockets []*websocket.Conn
	for range viewers {
		heard, ws := i.socket("topic=default/likes/a")
		all, sockets = append(all, heard), append(sockets, ws)
	}
	began := time.Now()
	for n, ws := range sockets {
		sendText(t, ws, assertion("a", fmt.Sprintf("visitor-%d", n), n))
	}
	for n, heard := range all {
		if a := heard.answer(); a.Error != nil || *a.ID != int64(n) {
			t.Fatalf("%+v", a)
		}
	}
	t.Logf("%d viewers were answered within %v", viewers, time.Since(began))
	i.like("a", "visitor-last") // the frame of the last like may have come before an answer
	for _, heard := range all {
		for heard.frame().Count != viewers+1 {
		}
	}
	if n := i.viewers(); n != viewers {
		t.Errorf("%d viewers are left, want %d", n, viewers)
	}
}
