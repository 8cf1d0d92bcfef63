package checker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

const (
	ownerToken = "owner-token-of-the-checker"
	// merged is the topic that the owner merges others into, flooded the one of which
	// floods are undone: both are judged like all others.
	merged, flooded = "blog/likes/a", "default/likes/b/c"
	// together is how many visitors a merge carries over, and how many a flood has.
	together = 5
	// ownWithin is how long one thing that an owner does may take, all faults and
	// attempts included.
	ownWithin = 2 * time.Minute
)

// owner exports, merges and undoes while things break, and repeats what was cut off, as
// the contract says one may. To the judge it is what visitors do: whoever is carried to
// a topic contributes to it from some moment of the merge on, and who is undone takes
// back its contribution at some moment of the undoing.
type owner struct {
	run                    *run
	random                 *rand.Rand
	names                  []string // of visitors of its own
	exports, merges, undos int
}

// act is an owner until ctx ends.
func (o *owner) act(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		o.merge(n)
		o.undo(n)
		o.export()
		wait(time.Duration(o.random.IntN(500)) * time.Millisecond)
	}
}

// likes makes visitors of its own like a topic, again and again until it is
// acknowledged, and waits until no lost attempt can have an effect any more.
func (o *owner) likes(kind string, n int, topic, from string, judged bool) (visitors []string) {
	var settled time.Time
	for i := range together {
		visitor := fmt.Sprintf("%s-%03d-%d", kind, n, i)
		visitors = append(visitors, visitor)
		for deadline := time.Now().Add(ownWithin); ; wait(100 * time.Millisecond) {
			w, lost := o.run.assert(visitor, assertion{topic: topic, amount: 1},
				try{instance: o.random.IntN(len(o.run.instances)), patience: answerWithin, from: from})
			if judged {
				o.run.record.wrote(w)
			}
			if lost {
				settled = time.UnixMicro(int64(w.Called)).Add(effectWithin)
				o.run.maySettle(settled)
			}
			if w.Outcome == checker.Acknowledged {
				break
			}
			if time.Now().After(deadline) {
				o.run.t.Errorf("%s does not come to like %s: %s", visitor, topic, w.Answer)
				return nil
			}
		}
	}
	wait(time.Until(settled))
	o.names = append(o.names, visitors...)
	return visitors
}

// merge carries a topic over.
func (o *owner) merge(n int) {
	side := fmt.Sprintf("blog/likes/side-%d", n)
	visitors := o.likes("carried", n, side, "", false)
	var answer struct{ Count, Version int64 }
	w := checker.Write{Topic: merged, Amount: 1, Mine: 1, Changed: true, Outcome: checker.Acknowledged, Called: now()}
	if visitors == nil || !o.insist("/admin/v1/merge", fmt.Sprintf(`{"from":[%q],"to":%q}`, side, merged), &answer) {
		return
	}
	w.Returned, w.Count, w.Version = now(), answer.Count, answer.Version
	o.wrote(w, visitors)
	o.merges++
}

// undo takes back a flood that came from a network of its own.
func (o *owner) undo(n int) {
	from := fmt.Sprintf("203.0.%d.7", n%250)
	visitors := o.likes("robot", n, flooded, from, true)
	w := checker.Write{Topic: flooded, Changed: true, Outcome: checker.Acknowledged, Called: now()}
	since := time.Now().Add(-10 * time.Minute).UTC().Format(time.RFC3339)
	if visitors == nil || !o.insist("/admin/v1/undo", fmt.Sprintf(`{"topics":[%q],"addresses":[%q],"from":%q}`, flooded, from, since), &struct{}{}) {
		return
	}
	w.Returned = now()
	o.wrote(w, visitors)
	o.undos++
}

// wrote records what was done to each of the visitors.
func (o *owner) wrote(w checker.Write, visitors []string) {
	for _, w.Visitor = range visitors {
		o.run.record.wrote(w)
	}
}

// insist asks any instance for a change, again and again until it is done.
func (o *owner) insist(path, body string, into any) bool {
	status, text, err := 0, []byte(nil), error(nil)
	for deadline := time.Now().Add(ownWithin); time.Now().Before(deadline); wait(100 * time.Millisecond) {
		if status, text, err = o.ask(http.MethodPost, path, body); err == nil && status == http.StatusOK {
			if err := json.Unmarshal(text, into); err != nil {
				o.run.t.Errorf("%s: %v in %s", path, err, text)
			}
			return true
		}
		if err == nil && status < http.StatusInternalServerError {
			break
		}
	}
	o.run.t.Errorf("%s with %s comes to no end: %d %s %v", path, body, status, text, err)
	return false
}

func (o *owner) ask(method, path, body string) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*answerWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, o.run.url(o.random.IntN(len(o.run.instances)))+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+ownerToken)
	r.Header.Set("Content-Type", "application/json")
	response, err := o.run.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// export takes an export; where it comes whole, each count in it is the sum of what
// stands beside it.
func (o *owner) export() {
	status, text, err := o.ask(http.MethodGet, "/admin/v1/export", "")
	if err != nil || status != http.StatusOK {
		return // the store or the instance is away, and says so
	}
	type line struct {
		Topic, Members                   string
		Count, Seed, Adjustment, Counted int64
		Amounts                          []int64
		Total                            *struct{ Topics int64 }
	}
	sums, ended := map[string]int64{}, false
	for row := range bytes.Lines(text) {
		var l line
		if err := json.Unmarshal(row, &l); err != nil {
			o.run.t.Errorf("an export has the line %s: %v", row, err)
			return
		}
		if ended = l.Total != nil; l.Topic == "" {
			continue
		}
		sum := int64(len(l.Members) / 16)
		if l.Amounts != nil {
			sum = 0
		}
		for _, amount := range l.Amounts {
			sum += amount
		}
		if sums[l.Topic] += sum; l.Counted != sums[l.Topic] || l.Count != l.Seed+l.Adjustment+l.Counted {
			o.run.t.Errorf("an export has %s with %d of contributions: %s", l.Topic, sums[l.Topic], row)
		}
	}
	if !ended {
		o.run.t.Error("an export that was answered whole has no end")
	}
	o.exports++
}
