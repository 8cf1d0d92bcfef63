package transfer

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// generated is a store of n contributions, 2,500 in each topic.
type generated struct{ portions, n int }

func (generated) Settings(context.Context, ...string) (map[string]string, error) { return nil, nil }

func (g *generated) Dump(_ context.Context, _ tally.Scope, each func(tally.Portion) error) error {
	const ofTopic = 2500
	for topics := 0; g.n > 0; topics++ {
		topic, err := tally.ParseTopic(fmt.Sprintf("blog/likes/page-%d", topics))
		if err != nil {
			return err
		}
		left := min(ofTopic, g.n)
		g.n -= left
		portion := tally.Portion{State: tally.State{Change: tally.Change{Topic: topic, Count: int64(left), Version: 1}}, Sum: int64(left), First: true}
		for left > 0 {
			portion.Contributions = make([]tally.Contribution, min(left, tally.MaxPortion))
			left -= len(portion.Contributions)
			for i := range portion.Contributions {
				portion.Contributions[i] = tally.Contribution{Member: tally.Member(left + i + 1), Amount: 1}
			}
			portion.Last = left == 0
			if g.portions++; g.portions%100 == 0 {
				runtime.GC()
			}
			if err := each(portion); err != nil {
				return err
			}
			portion.First = false
		}
	}
	return nil
}

// counting counts the contributions that it receives.
type counting struct{ contributions int }

func (*counting) Begin(context.Context, Header) error { return nil }

func (c *counting) Store(_ context.Context, _ bool, batch Batch) ([]Refusal, error) {
	for _, line := range batch.Lines {
		c.contributions += len(line.Contributions)
	}
	return nil, nil
}

// Ten times as many contributions take no more memory: an export and an import hold one
// batch at a time.
func TestMemory_ManyContributions(t *testing.T) {
	highest := func(n int) uint64 {
		read, write := io.Pipe()
		done := make(chan error, 1)
		go func() { // ends with the export, which is waited for
			err := Export(context.Background(), &generated{n: n}, catalog(), NewHeader(secret, false, time.Now()), tally.Scope{}, write)
			write.CloseWithError(err)
			done <- err
		}()
		var most uint64
		target := &counting{}
		_, err := Import(context.Background(), target, read, ImportOptions{OnProgress: func(Totals) {
			var now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if target.contributions != n {
			t.Fatalf("%d of %d contributions arrived", target.contributions, n)
		}
		return most
	}
	few, many := highest(100_000), highest(1_000_000)
	// The heap is read before or after a batch is freed.
	const more = 2 << 20 // bytes
	if t.Logf("%d and %d bytes", few, many); many > few+more {
		t.Errorf("the heap has %d bytes with ten times as many contributions and %d otherwise", many, few)
	}
}

// A copy is compared with its source, and differences are reported.
func TestCopy_Differences(t *testing.T) {
	from, to := filled(t), open(t, secret)
	copied, err := Copy(context.Background(), from, to, catalog(), CopyOptions{})
	if err != nil || len(copied.Differences) > 0 || len(copied.ChangedInSource) > 0 || copied.Topics != 8 || copied.TargetHadTopics {
		t.Errorf("%+v, %v", copied, err)
	}
	same(t, from, to)
	// A target that loses contributions differs.
	lossy := &losing{Store: open(t, secret)}
	copied, err = Copy(context.Background(), from, lossy, catalog(), CopyOptions{})
	if err != nil || len(copied.Differences) != 1 || copied.Differences[0].Topic != topic(t, "blog/claps/hello") || copied.Differences[0].TargetHasMore {
		t.Errorf("%+v, %v", copied.Differences, err)
	}
	// A target that had contributions before may have more than the source.
	held := open(t, secret)
	contribute(t, held, "blog/likes/hello", 9000, 5, 1)
	copied, err = Copy(context.Background(), from, held, catalog(), CopyOptions{})
	if err != nil || len(copied.Differences) != 1 || !copied.Differences[0].TargetHasMore || !copied.TargetHadTopics {
		t.Errorf("%+v, %v", copied.Differences, err)
	}
}

func TestCopy_SourceChanges(t *testing.T) {
	from, to := filled(t), open(t, secret)
	once := true
	copied, err := Copy(t.Context(), from, to, catalog(), CopyOptions{OnProgress: func(step string, _ Totals) {
		if step == "copy" && once {
			once = false
			contribute(t, from, "blog/likes/hello", 7000, 1, 1)
		}
	}})
	if err != nil || len(copied.Differences) > 0 || len(copied.ChangedInSource) != 1 || copied.ChangedInSource[0] != topic(t, "blog/likes/hello") {
		t.Errorf("%+v, %v", copied, err)
	}
}
