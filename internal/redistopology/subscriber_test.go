package redistopology

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// newSubscriber returns a subscriber that is connected to a server, with the channel control. It
// takes the messages of the other channels, and sends their texts to taken.
func newSubscriber(t *testing.T, server *redistest.Server) (s *Subscriber, taken chan string) {
	t.Helper()
	topology, err := Open(server.URL(0), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topology.Close)
	taken = make(chan string, 10)
	s = topology.SlotMap().Nodes()[0].NewSubscriber(func(channel, payload []byte) bool {
		if string(channel) == "control" {
			return false
		}
		taken <- string(channel) + "=" + string(payload)
		return true
	})
	limit := time.AfterFunc(20*time.Second, s.Close)
	t.Cleanup(func() { limit.Stop(); s.Close() })
	if err := s.Connect(t.Context(), "control"); err != nil {
		t.Fatal(err)
	}
	return s, taken
}

// receive returns the next confirmation or message as a text.
func receive(t *testing.T, s *Subscriber) string {
	t.Helper()
	switch m, err := s.Receive(t.Context()); m := m.(type) {
	case *redis.Subscription:
		return m.Kind + " " + m.Channel
	case *redis.Message:
		return m.Channel + "=" + m.Payload
	default:
		return fmt.Sprint(err)
	}
}

// Each channel of a command is confirmed, in order, and messages may come in between.
func TestSubscriber_Send(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s, taken := newSubscriber(t, server)
	if got := receive(t, s); got != "subscribe control" {
		t.Fatal(got)
	}
	channels := make([]string, 500)
	for i := range channels {
		channels[i] = fmt.Sprintf("a page/é\r\n%d", i)
	}
	for _, command := range []string{"subscribe", "unsubscribe"} {
		if err := s.Send(command, channels); err != nil {
			t.Fatal(err)
		}
		for i, channel := range channels {
			if i == 100 {
				server.Do("PUBLISH", "control", command)
			}
			if got := receive(t, s); got != command+" "+channel {
				t.Fatalf("%q, want the confirmation of %q", got, channel)
			}
		}
		if got := receive(t, s); got != "control="+command {
			t.Errorf("%q after the confirmations", got)
		}
		if n := server.Do("PUBLISH", channels[7], command); (n == int64(1)) != (command == "subscribe") {
			t.Errorf("%v subscribers after %s", n, command)
		}
	}
	server.Do("PUBLISH", "control", "end")
	if got := receive(t, s); got != "control=end" {
		t.Error(got)
	}
	if n := len(taken); n != 1 {
		t.Errorf("%d messages were taken", n)
	} else if got := <-taken; got != channels[7]+"=subscribe" {
		t.Error(got)
	}
}

// An error reply and the end of the connection end the subscription: it connects once, so that no
// channel is lost without notice.
func TestSubscriber_Ends(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	for name, end := range map[string]func(s *Subscriber){
		"error reply": func(s *Subscriber) { _ = s.Send("subscribe", nil) },
		"killed":      func(*Subscriber) { server.Do("CLIENT", "KILL", "TYPE", "pubsub") },
		"closed":      (*Subscriber).Close,
	} {
		s, _ := newSubscriber(t, server)
		first := receive(t, s)
		end(s)
		if m, err := s.Receive(t.Context()); first != "subscribe control" || err == nil {
			t.Errorf("%s: received %v after %s", name, m, first)
		}
		if name == "error reply" {
			continue
		}
		if m, err := s.Receive(t.Context()); err == nil || s.Connect(t.Context(), "control") == nil {
			t.Errorf("%s: connected again, and received %v", name, m)
		}
		if err := s.Send("subscribe", []string{"a"}); err == nil {
			t.Errorf("%s: a command was sent", name)
		}
	}
}
