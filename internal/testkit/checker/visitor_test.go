package checker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

const (
	// responseTimeout is longer than any response takes: the contract's 3 s and the
	// slowness of a busy machine.
	responseTimeout = 12 * time.Second
	// effectTimeout is how long an assertion with a lost response may be applied after it
	// was sent: the contract's 3 s and the time of the request.
	effectTimeout = 4 * time.Second
	// maxAttempts is how often a visitor tries an assertion.
	maxAttempts = 4
)

// topics are the topics of the visitors and the largest amount, or option, of each.
var topics = map[string]int64{
	"default/likes/a": 1, "default/likes/b/c": 1, "blog/likes/a": 1,
	"default/claps/a": 50, "blog/claps/ü": 50, "default/visitors/a": 1, "default/rating/a": 5,
}

// isChoice reports whether visitors choose an option of a topic.
func isChoice(topic string) bool { return strings.Contains(topic, "/rating/") }

// assertion is the next assertion of a visitor. The seed determines all of it.
type assertion struct {
	after    time.Duration
	topic    string
	amount   int64
	tries    [maxAttempts]attempt
	withRead bool // also read the topic
}

// attempt is one request of an assertion.
type attempt struct {
	instance int
	timeout  time.Duration // after which the response counts as lost
	retry    bool          // retry if the outcome is unknown
	asDelete bool          // assert an amount of 0 by DELETE
	from     string        // the client's address in X-Forwarded-For, if not empty
}

// nextAssertion returns a random assertion.
func nextAssertion(random *rand.Rand, names []string, instances int, pause time.Duration) (a assertion) {
	a.after = time.Duration(random.ExpFloat64() * float64(pause))
	a.topic = names[random.IntN(len(names))]
	a.amount = random.Int64N(topics[a.topic] + 1)
	if strings.Contains(a.topic, "/visitors/") {
		a.amount = 1 // the rule "once"
	}
	a.withRead = random.IntN(10) == 0
	for i := range a.tries {
		t := attempt{instance: random.IntN(instances), timeout: responseTimeout, retry: random.IntN(4) > 0, asDelete: random.IntN(2) == 0}
		if random.IntN(6) == 0 {
			t.timeout = time.Duration(1+random.IntN(30)) * time.Millisecond
		}
		a.tries[i] = t
	}
	return a
}

// runVisitor sends assertions of one visitor until ctx ends.
func (r *run) runVisitor(ctx context.Context, visitor string, random *rand.Rand) {
	settled := map[string]time.Time{} // until when the last assertion may be applied
	for {
		a := nextAssertion(random, r.names, len(r.instances), r.pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.after):
		}
		if time.Now().Before(settled[a.topic]) {
			continue // concurrent assertions have no order
		}
		for _, t := range a.tries {
			w, lost := r.assert(visitor, a, t)
			r.record.addWrite(w)
			if lost {
				until := time.UnixMicro(int64(w.Called)).Add(effectTimeout)
				settled[a.topic] = until
				r.noteEffect(until)
			}
			if w.Outcome == checker.Acknowledged || !t.retry || ctx.Err() != nil {
				break
			}
		}
		if a.withRead {
			r.readTopic(a)
		}
	}
}

// noteEffect records until when an assertion may be applied.
func (r *run) noteEffect(at time.Time) {
	for {
		known := r.lastEffect.Load()
		if known >= at.UnixMicro() || r.lastEffect.CompareAndSwap(known, at.UnixMicro()) {
			return
		}
	}
}

// assert sends one attempt. If lost, it may be applied later.
func (r *run) assert(visitor string, a assertion, t attempt) (w checker.Write, lost bool) {
	w = checker.Write{Visitor: visitor, Topic: a.topic, Amount: a.amount, Instance: t.instance, Called: now()}
	field := "amount"
	if isChoice(a.topic) {
		field = "option"
	}
	method, body := "POST", fmt.Sprintf(`{"visitor":%q,%q:%d}`, visitor, field, a.amount)
	if a.amount == 0 && t.asDelete {
		method, body = "DELETE", ""
	}
	status, text, err := r.request(t, method, "/v1/"+a.topic, body, visitor)
	w.Returned = now()
	var answer struct {
		Count, Version, Mine int64
		Options              []int64
		Changed              bool
		Code                 string
	}
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	var failed *net.OpError
	switch {
	case err == nil && status == http.StatusOK:
		w.Outcome = checker.Acknowledged
		w.Mine, w.Changed, w.Count, w.Options, w.Version = answer.Mine, answer.Changed, answer.Count, answer.Options, answer.Version
		return w, false
	case err == nil:
		// Not applied, or applied before this response.
		w.Outcome, w.Answer = checker.Unknown, answer.Code
		if answer.Code != "store_unavailable" {
			r.t.Errorf("%s: status %d %s", a.topic, status, text)
		}
		return w, false
	case errors.As(err, &failed) && failed.Op == "dial":
		w.Outcome, w.Answer = checker.Refused, "connection refused"
		return w, false
	case errors.Is(err, context.DeadlineExceeded) && t.timeout == responseTimeout:
		r.t.Errorf("%s: no response within %s", a.topic, responseTimeout)
	}
	w.Outcome, w.Answer = checker.Unknown, err.Error()
	return w, true
}

// readTopic reads the topic of a.
func (r *run) readTopic(a assertion) {
	status, text, err := r.request(a.tries[0], "GET", "/v1/"+a.topic, "", "")
	var answer struct {
		Count, Version int64
		Options        []int64
	}
	if err == nil && status == http.StatusOK && json.Unmarshal(text, &answer) == nil {
		r.record.addRead(checker.Observation{Topic: a.topic, Count: answer.Count, Options: answer.Options, Version: answer.Version, At: now()})
	}
}

// request sends a request with the timeout of an attempt.
func (r *run) request(t attempt, method, path, body, visitor string) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, r.url(t.instance)+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if visitor != "" {
		request.Header.Set("Tally-Visitor", visitor)
	}
	if t.from != "" {
		request.Header.Set("X-Forwarded-For", t.from)
	}
	response, err := r.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// watchTopic subscribes to a topic through an instance until leave, and discards the frames.
func (r *run) watchTopic(instance int, topic string) (leave func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { // ends with ctx
		request, err := http.NewRequestWithContext(ctx, "GET", r.url(instance)+"/v1/stream?topic="+topic, nil)
		if err != nil {
			r.t.Error(err)
			return
		}
		if response, err := r.http.Transport.RoundTrip(request); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
	return func() {
		cancel()
		watching.Wait()
	}
}
