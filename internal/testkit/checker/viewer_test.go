package checker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/eventstream"
)

// frame is a frame that a viewer receives.
type frame struct {
	Topic   string
	Count   int64
	Options []int64
	Version int64
	Event   string
	Error   *struct{ Code, Message string }
}

// viewerSession is one connection of a viewer. The seed determines all of it.
type viewerSession struct {
	instance       int
	topics         []string
	laterTopics    []string      // requested later, by WebSocket
	laterAfter     time.Duration // when laterTopics are requested
	duration       time.Duration // until the viewer leaves; 0 for never
	reconnectAfter time.Duration // until the next session
}

func nextSession(random *rand.Rand, names []string, instances int) (v viewerSession) {
	v.instance = random.IntN(instances)
	order := random.Perm(len(names))
	most := len(names)
	if random.IntN(3) == 0 {
		most = 1 + random.IntN(len(names))
	}
	first := most
	if random.IntN(3) == 0 {
		first = 1 + random.IntN(most)
	}
	for i, at := range order[:most] {
		if i < first {
			v.topics = append(v.topics, names[at])
		} else {
			v.laterTopics = append(v.laterTopics, names[at])
		}
	}
	v.laterAfter = time.Duration(random.IntN(3000)) * time.Millisecond
	v.reconnectAfter = time.Duration(20+random.IntN(700)) * time.Millisecond
	if random.IntN(2) == 0 {
		v.duration = time.Duration(500+random.IntN(12_000)) * time.Millisecond
	}
	return v
}

// runViewer runs sessions with random instances until ctx ends. Once the faults are over,
// the viewer stays connected.
func (r *run) runViewer(ctx context.Context, number int, random *rand.Rand) {
	for {
		v := nextSession(random, r.names, len(r.instances))
		r.openSession(ctx, number, v)
		select {
		case <-ctx.Done():
			return
		case <-time.After(v.reconnectAfter):
		}
	}
}

// openSession holds one connection until it ends.
func (r *run) openSession(ctx context.Context, number int, v viewerSession) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	if v.duration > 0 {
		timer := time.AfterFunc(v.duration, func() {
			if !r.faultsOver.Load() {
				leave()
			}
		})
		defer timer.Stop()
	}
	if number%2 == 0 {
		r.stream(ctx, fmt.Sprintf("stream %d", number), v)
	} else {
		r.socket(ctx, fmt.Sprintf("socket %d", number), v)
	}
}

// stream watches by Server-Sent Events until the connection ends.
func (r *run) stream(ctx context.Context, name string, v viewerSession) {
	query := url.Values{"topic": append(v.topics, v.laterTopics...)}
	request, err := http.NewRequestWithContext(ctx, "GET", r.url(v.instance)+"/v1/stream?"+query.Encode(), nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	response, err := r.http.Transport.RoundTrip(request)
	if err != nil {
		return // the instance is down
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Errorf("a stream: status %s", response.Status)
		return
	}
	c := r.record.addConnection(name, v.instance, query["topic"])
	defer c.end()
	for events := eventstream.NewReader(response.Body); ; {
		data, err := events.Next()
		if err != nil {
			return // the connection ended
		}
		r.receive(c, data)
	}
}

// socket watches by WebSocket until the connection ends.
func (r *run) socket(ctx context.Context, name string, v viewerSession) {
	socket, _, err := websocket.Dial(ctx, r.url(v.instance)+"/v1/ws", &websocket.DialOptions{HTTPClient: r.http})
	if err != nil {
		return // the instance is down
	}
	defer socket.CloseNow()
	c := r.record.addConnection(name, v.instance, nil)
	defer c.end()
	subscribe := func(topics []string) {
		c.subscribe(topics)
		text, _ := json.Marshal(map[string][]string{"subscribe": topics}) // strings cannot fail
		_ = socket.Write(ctx, websocket.MessageText, text)                // a failure ends the loop below
	}
	subscribe(v.topics)
	if len(v.laterTopics) > 0 {
		timer := time.AfterFunc(v.laterAfter, func() { subscribe(v.laterTopics) })
		defer timer.Stop()
	}
	for {
		_, text, err := socket.Read(ctx)
		if err != nil {
			return
		}
		r.receive(c, text)
	}
}

func (r *run) receive(c *connection, text []byte) {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil || f.Error != nil {
		r.t.Errorf("a viewer received %s (%v)", text, err)
		return
	}
	c.receive(f)
}
