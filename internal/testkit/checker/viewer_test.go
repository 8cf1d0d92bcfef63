package checker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// frame is what a viewer is sent.
type frame struct {
	Topic   string
	Count   int64
	Version int64
	Event   string
	Error   *struct{ Code, Message string }
}

// visitation is one connection of a viewer; all of it comes from the seed.
type visitation struct {
	instance int
	topics   []string
	more     []string      // asked for later, by WebSocket
	later    time.Duration // when more is asked for
	life     time.Duration // until it leaves by itself; 0 for never
	back     time.Duration // until it comes again
}

func nextVisitation(random *rand.Rand, names []string, instances int) (v visitation) {
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
			v.more = append(v.more, names[at])
		}
	}
	v.later = time.Duration(random.IntN(3000)) * time.Millisecond
	v.back = time.Duration(20+random.IntN(700)) * time.Millisecond
	if random.IntN(2) == 0 {
		v.life = time.Duration(500+random.IntN(12_000)) * time.Millisecond
	}
	return v
}

// watch keeps one page open until ctx ends: it leaves, and comes back when it was
// cut off, to another instance. Once r is calm it leaves no more.
func (r *run) watch(ctx context.Context, number int, random *rand.Rand) {
	for {
		v := nextVisitation(random, r.names, len(r.instances))
		r.open(ctx, number, v)
		select {
		case <-ctx.Done():
			return
		case <-time.After(v.back):
		}
	}
}

// open holds one connection until it ends.
func (r *run) open(ctx context.Context, number int, v visitation) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	if v.life > 0 {
		timer := time.AfterFunc(v.life, func() {
			if !r.calm.Load() {
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
func (r *run) stream(ctx context.Context, name string, v visitation) {
	query := url.Values{"topic": append(v.topics, v.more...)}
	request, err := http.NewRequestWithContext(ctx, "GET", r.url(v.instance)+"/v1/stream?"+query.Encode(), nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	response, err := r.http.Transport.RoundTrip(request)
	if err != nil {
		return // nobody listens there now
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Errorf("a stream was answered %s", response.Status)
		return
	}
	c := r.record.connected(name, v.instance, query["topic"])
	defer c.end()
	for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
		if text, ok := strings.CutPrefix(scanner.Text(), "data: "); ok {
			r.take(c, []byte(text))
		}
	}
}

// socket watches by WebSocket until the connection ends.
func (r *run) socket(ctx context.Context, name string, v visitation) {
	socket, _, err := websocket.Dial(ctx, r.url(v.instance)+"/v1/ws", &websocket.DialOptions{HTTPClient: r.http})
	if err != nil {
		return // nobody listens there now
	}
	defer socket.CloseNow()
	c := r.record.connected(name, v.instance, nil)
	defer c.end()
	subscribe := func(topics []string) {
		c.ask(topics)
		text, _ := json.Marshal(map[string][]string{"subscribe": topics}) // strings cannot fail
		_ = socket.Write(ctx, websocket.MessageText, text)                // a failure ends the reading
	}
	subscribe(v.topics)
	if len(v.more) > 0 {
		timer := time.AfterFunc(v.later, func() { subscribe(v.more) })
		defer timer.Stop()
	}
	for {
		_, text, err := socket.Read(ctx)
		if err != nil {
			return
		}
		r.take(c, text)
	}
}

func (r *run) take(c *connection, text []byte) {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil || f.Error != nil {
		r.t.Errorf("a viewer was sent %s (%v)", text, err)
		return
	}
	c.take(f)
}
