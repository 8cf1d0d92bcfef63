package e2e_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// Likes arrive at two instances while a day ends in Redis's clock, and one of the instances is
// killed then. All acknowledged likes are counted, and the point of the day that ended is the count
// of its last change.
func TestHistory_DayBoundary(t *testing.T) {
	t.Parallel()
	const day, before, after = 24 * time.Hour, 4 * time.Second, time.Second
	redis := redistest.Start(t, redistest.Options{Clock: true})
	a, b := pair(t, redis)
	midnight := time.Now().Add(before).Truncate(time.Second) // in the machine's clock
	redis.SetClock(midnight.Truncate(day).Add(day).Sub(midnight))
	ended := midnight.Truncate(day).Add(day).UnixMicro() // in Redis's clock
	for i, s := range []*service{a, b} {                 // writes fail until the instance has read the clock
		processtest.Eventually(t, "the clock is set", func() bool {
			answer, err := s.try("POST", "/v1/default/likes/y", "", "Tally-Visitor: "+visitor(i))
			return err == nil && answer.status == 200
		})
	}

	type change struct {
		Count, Version int64
	}
	var mu sync.Mutex
	var changes []change // guarded by mu
	visitors := 0        // guarded by mu
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for writer := range 8 {
		writers.Go(func() { // ends after stop
			s := []*service{a, b}[writer%2]
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				visitors++
				name := visitor(visitors)
				mu.Unlock()
				answer, err := s.try("POST", "/v1/default/likes/x", "", "Tally-Visitor: "+name)
				for err != nil || answer.status != 200 { // the instance was killed
					s = b
					answer, err = s.try("POST", "/v1/default/likes/x", "", "Tally-Visitor: "+name)
				}
				var c change
				if err := json.Unmarshal([]byte(answer.body), &c); err != nil {
					t.Errorf("%v: %s", err, answer.body)
				}
				mu.Lock()
				changes = append(changes, c)
				mu.Unlock()
				sleep(3 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Until(midnight))
	a.Kill()
	time.Sleep(after)
	close(stop)
	writers.Wait()

	if c := b.read("default/likes/x"); c.Count != int64(visitors) {
		t.Errorf("%d likes are counted, %d were acknowledged", c.Count, visitors)
	}
	// The killed instance may have applied likes at midnight that it did not acknowledge.
	var least, most int64 = 0, int64(visitors)
	for _, c := range changes {
		if c.Version < ended {
			least = max(least, c.Count)
		} else {
			most = min(most, c.Count-1)
		}
	}
	if least == 0 || most == int64(visitors) {
		t.Fatalf("no likes before or after midnight: %d, %d", least, most)
	}
	for _, by := range []string{"hour", "day"} {
		var h struct{ Points []struct{ Count int64 } }
		answer, err := b.try("GET", "/v1/history/default/likes/x?last=2&by="+by, "")
		if err == nil {
			err = json.Unmarshal([]byte(answer.body), &h)
		}
		if err != nil || len(h.Points) != 2 || h.Points[0].Count < least || h.Points[0].Count > most || h.Points[1].Count != int64(visitors) {
			t.Errorf("by %s: %s, %v; want %d to %d, and %d", by, answer.body, err, least, most, visitors)
		}
	}
	processtest.Within(t, 5*time.Second, "the gain is all likes", func() bool {
		answer, err := b.try("GET", "/v1/top/default/likes?since=24h&limit=1", "")
		return err == nil && answer.status == 200 && hasGain([]byte(answer.body), visitors)
	})
}

func hasGain(body []byte, gain int) bool {
	var list struct{ Top []struct{ Gain int } }
	return json.Unmarshal(body, &list) == nil && len(list.Top) == 1 && list.Top[0].Gain == gain
}
