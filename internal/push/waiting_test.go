package push_test

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/push"
)

// A topic that was refused because there was no place is watched as soon as there is one. A
// topic that the client does not want any more is not.
func TestSubscribe_RefusedTopicWaits(t *testing.T) {
	for name, limits := range map[string]struct{ ofAddress, ofInstance int }{"of the address": {2, 0}, "of the instance": {0, 2}} {
		t.Run(name, func(t *testing.T) {
			i := startWith(t, push.Options{MaxTopicsPerAddress: limits.ofAddress, RetryInterval: 10 * time.Millisecond}, limits.ofInstance)
			i.like("c", "visitor-1")
			holding, _ := i.socket("topic=default/likes/a&topic=default/likes/b")
			holding.expect("default/likes/a=0", "default/likes/b=0", "live")
			stream := i.stream("topic=default/likes/c")
			stream.expect("default/likes/c!too_many_viewers", "live")
			socket, ws := i.socket("topic=default/likes/d&topic=default/likes/e")
			socket.expect("default/likes/d!too_many_viewers", "default/likes/e!too_many_viewers", "live")
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"unsubscribe":["default/likes/d"]}`)); err != nil {
				t.Fatal(err)
			}
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(`{"subscribe":["nonsense"]}`)); err != nil {
				t.Fatal(err)
			}
			socket.expect("nonsense!bad_topic", "live") // after the unsubscription
			gone, _ := i.socket("topic=default/likes/f")
			gone.expect("default/likes/f!too_many_viewers", "live")
			gone.close()
			i.eventually("the viewer is gone", func() bool { return i.viewers() == 3 })
			holding.close()
			stream.expect("default/likes/c=1", "live")
			socket.expect("default/likes/e=0", "live")
			i.like("c", "visitor-2")
			stream.expect("default/likes/c=2")
			if n := i.hub.WatchedTopics(); n != 2 {
				t.Errorf("%d topics are watched, want c and e", n)
			}
		})
	}
}
