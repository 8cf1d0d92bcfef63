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
	// answerWithin is longer than any answer takes: the contract's 3 s and what this
	// machine needs when it does much else.
	answerWithin = 12 * time.Second
	// effectWithin is how long after it was sent an assertion whose answer was lost
	// may be applied: the contract's 3 s and what the request took to arrive.
	effectWithin = 4 * time.Second
	// attempts is how often an assertion is tried.
	attempts = 4
)

// topics are what visitors contribute to, and the most that one may.
var topics = map[string]int64{
	"default/likes/a": 1, "default/likes/b/c": 1, "blog/likes/a": 1,
	"default/claps/a": 50, "blog/claps/ü": 50, "default/visitors/a": 1,
}

// assertion is what a visitor does next; all of it comes from the seed.
type assertion struct {
	after    time.Duration
	topic    string
	amount   int64
	tries    [attempts]try
	withRead bool // the topic is read as well
}

// try is one attempt.
type try struct {
	instance int
	patience time.Duration // until the answer counts as lost
	again    bool          // try again where the outcome is unknown
	asDelete bool          // an amount of 0 is asserted by DELETE
	from     string        // the client's address, as a proxy tells it; empty: this machine's
}

// nextAssertion draws what a visitor does.
func nextAssertion(random *rand.Rand, names []string, instances int, pause time.Duration) (a assertion) {
	a.after = time.Duration(random.ExpFloat64() * float64(pause))
	a.topic = names[random.IntN(len(names))]
	a.amount = random.Int64N(topics[a.topic] + 1)
	if strings.Contains(a.topic, "/visitors/") {
		a.amount = 1 // nobody takes that back
	}
	a.withRead = random.IntN(10) == 0
	for i := range a.tries {
		t := try{instance: random.IntN(instances), patience: answerWithin, again: random.IntN(4) > 0, asDelete: random.IntN(2) == 0}
		if random.IntN(6) == 0 {
			t.patience = time.Duration(1+random.IntN(30)) * time.Millisecond
		}
		a.tries[i] = t
	}
	return a
}

// visit asserts until ctx ends, as one visitor.
func (r *run) visit(ctx context.Context, visitor string, random *rand.Rand) {
	settled := map[string]time.Time{} // when the last assertion can have no effect any more
	for {
		a := nextAssertion(random, r.names, len(r.instances), r.pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(a.after):
		}
		if time.Now().Before(settled[a.topic]) {
			continue // assertions that are in flight together have no order
		}
		for _, t := range a.tries {
			w, lost := r.assert(visitor, a, t)
			r.record.wrote(w)
			if lost {
				until := time.UnixMicro(int64(w.Called)).Add(effectWithin)
				settled[a.topic] = until
				r.maySettle(until)
			}
			if w.Outcome == checker.Acknowledged || !t.again || ctx.Err() != nil {
				break
			}
		}
		if a.withRead {
			r.look(a)
		}
	}
}

// maySettle notes until when an assertion may have its effect.
func (r *run) maySettle(at time.Time) {
	for {
		known := r.lastEffect.Load()
		if known >= at.UnixMicro() || r.lastEffect.CompareAndSwap(known, at.UnixMicro()) {
			return
		}
	}
}

// assert makes one attempt; lost says that it may have its effect after it returned.
func (r *run) assert(visitor string, a assertion, t try) (w checker.Write, lost bool) {
	w = checker.Write{Visitor: visitor, Topic: a.topic, Amount: a.amount, Instance: t.instance, Called: now()}
	method, body := "POST", fmt.Sprintf(`{"visitor":%q,"amount":%d}`, visitor, a.amount)
	if a.amount == 0 && t.asDelete {
		method, body = "DELETE", ""
	}
	status, text, err := r.ask(t, method, "/v1/"+a.topic, body, visitor)
	w.Returned = now()
	var answer struct {
		Count, Version, Mine int64
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
		w.Mine, w.Changed, w.Count, w.Version = answer.Mine, answer.Changed, answer.Count, answer.Version
		return w, false
	case err == nil:
		// Not applied, or before this answer.
		w.Outcome, w.Answer = checker.Unknown, answer.Code
		if answer.Code != "store_unavailable" {
			r.t.Errorf("%s was answered %d %s", a.topic, status, text)
		}
		return w, false
	case errors.As(err, &failed) && failed.Op == "dial":
		w.Outcome, w.Answer = checker.Refused, "nobody listens"
		return w, false
	case errors.Is(err, context.DeadlineExceeded) && t.patience == answerWithin:
		r.t.Errorf("%s was not answered within %s", a.topic, answerWithin)
	}
	w.Outcome, w.Answer = checker.Unknown, err.Error()
	return w, true
}

// look reads the topic of a.
func (r *run) look(a assertion) {
	status, text, err := r.ask(a.tries[0], "GET", "/v1/"+a.topic, "", "")
	var answer struct{ Count, Version int64 }
	if err == nil && status == http.StatusOK && json.Unmarshal(text, &answer) == nil {
		r.record.read(checker.Sighting{Topic: a.topic, Count: answer.Count, Version: answer.Version, At: now()})
	}
}

// ask sends a request and gives up when patience ends.
func (r *run) ask(t try, method, path, body, visitor string) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), t.patience)
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

// post likes as a visitor, without a body, and returns the status.
func post(url, visitor string) (status int, err error) {
	request, err := http.NewRequest("POST", url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Tally-Visitor", visitor)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: answerWithin}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// glance watches a topic through an instance, and looks at nothing, until leave.
func (r *run) glance(instance int, topic string) (leave func()) {
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
