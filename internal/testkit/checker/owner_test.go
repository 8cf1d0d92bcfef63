package checker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/checker"
)

const (
	ownerToken = "owner-token-of-the-checker"
	// The owner merges topics into mergeTarget and reverts spikes of floodTopic. The checks
	// cover both.
	mergeTarget, floodTopic = "blog/likes/a", "default/likes/b/c"
	// groupSize is how many visitors a merged topic or a spike has.
	groupSize = 5
	// ownerTimeout is how long one task of the owner may take, with all faults and retries.
	ownerTimeout = 2 * time.Minute
)

// owner exports, merges and reverts during faults, and repeats interrupted tasks, which the
// contract allows. The history records the effects as writes of visitors: a merge makes
// each visitor contribute to the target, a revert makes each contribute 0.
type owner struct {
	run                    *run
	random                 *rand.Rand
	names                  []string // of the visitors that the owner creates
	exports, merges, undos int
}

// work exports, merges and reverts until ctx ends.
func (o *owner) work(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		o.merge(n)
		o.undo(n)
		o.export()
		sleep(time.Duration(o.random.IntN(500)) * time.Millisecond)
	}
}

// addLikes creates visitors who like a topic, retries until each like is acknowledged, and
// waits until no lost attempt can have an effect any more.
func (o *owner) addLikes(kind string, n int, topic, from string, recorded bool) (visitors []string) {
	var settled time.Time
	for i := range groupSize {
		visitor := fmt.Sprintf("%s-%03d-%d", kind, n, i)
		visitors = append(visitors, visitor)
		for deadline := time.Now().Add(ownerTimeout); ; sleep(100 * time.Millisecond) {
			w, lost := o.run.assert(visitor, assertion{topic: topic, amount: 1},
				attempt{instance: o.random.IntN(len(o.run.instances)), timeout: responseTimeout, from: from})
			if recorded {
				o.run.record.addWrite(w)
			}
			if lost {
				settled = time.UnixMicro(int64(w.Called)).Add(effectTimeout)
				o.run.noteEffect(settled)
			}
			if w.Outcome == checker.Acknowledged {
				break
			}
			if time.Now().After(deadline) {
				o.run.t.Errorf("%s cannot like %s: %s", visitor, topic, w.Answer)
				return nil
			}
		}
	}
	sleep(time.Until(settled))
	o.names = append(o.names, visitors...)
	return visitors
}

// merge merges a new topic into mergeTarget.
func (o *owner) merge(n int) {
	side := fmt.Sprintf("blog/likes/side-%d", n)
	visitors := o.addLikes("merged", n, side, "", false)
	var answer struct{ Count, Version int64 }
	w := checker.Write{Topic: mergeTarget, Amount: 1, Mine: 1, Changed: true, Outcome: checker.Acknowledged, Called: now()}
	if visitors == nil || !o.retryUntilDone("/admin/v1/merge", fmt.Sprintf(`{"from":[%q],"to":%q}`, side, mergeTarget), &answer) {
		return
	}
	w.Returned, w.Count, w.Version = now(), answer.Count, answer.Version
	o.addWrites(w, visitors)
	o.merges++
}

// undo reverts a spike that comes from its own network.
func (o *owner) undo(n int) {
	from := fmt.Sprintf("203.0.%d.7", n%250)
	visitors := o.addLikes("robot", n, floodTopic, from, true)
	w := checker.Write{Topic: floodTopic, Changed: true, Outcome: checker.Acknowledged, Called: now()}
	since := time.Now().Add(-10 * time.Minute).UTC().Format(time.RFC3339)
	if visitors == nil || !o.retryUntilDone("/admin/v1/undo", fmt.Sprintf(`{"topics":[%q],"addresses":[%q],"from":%q}`, floodTopic, from, since), &struct{}{}) {
		return
	}
	w.Returned = now()
	o.addWrites(w, visitors)
	o.undos++
}

// addWrites records w for each visitor.
func (o *owner) addWrites(w checker.Write, visitors []string) {
	for _, w.Visitor = range visitors {
		o.run.record.addWrite(w)
	}
}

// retryUntilDone sends a request to random instances until it succeeds.
func (o *owner) retryUntilDone(path, body string, into any) bool {
	status, text, err := 0, []byte(nil), error(nil)
	for deadline := time.Now().Add(ownerTimeout); time.Now().Before(deadline); sleep(100 * time.Millisecond) {
		if status, text, err = o.request(http.MethodPost, path, body); err == nil && status == http.StatusOK {
			if err := json.Unmarshal(text, into); err != nil {
				o.run.t.Errorf("%s: %v in %s", path, err, text)
			}
			return true
		}
		if err == nil && status < http.StatusInternalServerError {
			break
		}
	}
	o.run.t.Errorf("%s with %s does not succeed: %d %s %v", path, body, status, text, err)
	return false
}

func (o *owner) request(method, path, body string) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*responseTimeout)
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

// export requests an export. In a complete export, each count is the sum of its parts.
func (o *owner) export() {
	status, text, err := o.request(http.MethodGet, "/admin/v1/export", "")
	if err != nil || status != http.StatusOK {
		return // the store or the instance is unavailable
	}
	type line struct {
		Topic, Members                   string
		Count, Seed, Adjustment, Counted int64
		Amounts, Options                 []int64
		Total                            *struct{ Topics int64 }
	}
	sums, ended := map[string]int64{}, false
	for row := range bytes.Lines(text) {
		var l line
		if err := json.Unmarshal(row, &l); err != nil {
			o.run.t.Errorf("export line %s: %v", row, err)
			return
		}
		if ended = l.Total != nil; l.Topic == "" {
			continue
		}
		sum := int64(len(l.Members) / 16)
		if l.Amounts != nil && !isChoice(l.Topic) {
			sum = 0
			for _, amount := range l.Amounts {
				sum += amount
			}
		}
		options := slices.Clone(l.Options) // minus the contributions of the line
		for _, option := range l.Amounts {
			if isChoice(l.Topic) {
				options[option-1]--
			}
		}
		if isChoice(l.Topic) && l.Amounts != nil && slices.ContainsFunc(options, func(n int64) bool { return n != 0 }) {
			o.run.t.Errorf("the export has %s with options that differ from its contributions: %s", l.Topic, row)
		}
		if sums[l.Topic] += sum; l.Counted != sums[l.Topic] || l.Count != l.Seed+l.Adjustment+l.Counted {
			o.run.t.Errorf("the export has %s with contributions of %d: %s", l.Topic, sums[l.Topic], row)
		}
	}
	if !ended {
		o.run.t.Error("a successful export has no end line")
	}
	o.exports++
}
