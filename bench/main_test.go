package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/bench/load"
	"github.com/tallycast/tallycast/bench/peer"
)

// The test binary serves as worker too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == load.WorkerArgument {
		if err := load.Work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Small cases run and save their results. They measure the tallycast that the Makefile built for
// all tests, if there is one.
func TestCases_Saved(t *testing.T) {
	var common []string
	if binaries := os.Getenv("TALLYCAST_TEST_BINARIES"); binaries != "" {
		common = []string{"--binary", filepath.Join(binaries, "tallycast")}
	}
	for name, more := range map[string][]string{
		"fanout":    {"--viewers", "100", "--duration", "500ms", "--runs", "1", "--transport", "ws", "--peers", "write(2),tallycast"},
		"likes":     {"--duration", "500ms", "--warm", "100ms", "--topics", "20", "--runs", "1", "--peers", "tallycast,naive"},
		"history":   {"--duration", "500ms", "--warm", "100ms", "--spread", "20", "--runs", "1", "--topics", "300", "--active", "120", "--settle", "100ms", "--calls", "20"},
		"storm":     {"--viewers", "100", "--duration", "500ms", "--runs", "1", "--transport", "sse", "--peers", "tallycast"},
		"press":     {"--viewers", "100", "--runs", "1"},
		"scale":     {"--topics", "200", "--renames", "4", "--settle", "100ms", "--quiet", "100ms", "--call-time", "20ms"},
		"regions":   {"--round-trip", "20ms", "--pages", "10", "--likes", "10", "--viewers", "10", "--instances", "2"},
		"instances": {"--instances", "2", "--viewers", "50", "--likes", "50"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := run(t.Context(), slices.Concat([]string{name, "--results", dir}, common, more)); err != nil {
				t.Fatal(err)
			}
			for _, end := range []string{".jsonl", ".md"} {
				data, err := os.ReadFile(filepath.Join(dir, name+end))
				if err != nil || len(data) == 0 {
					t.Errorf("%s: %d bytes, %v", end, len(data), err)
				}
			}
			page, err := os.ReadFile(filepath.Join(dir, "README.md"))
			if err != nil || !strings.Contains(string(page), "## "+name) {
				t.Errorf("the page: %v, %s", err, page)
			}
		})
	}
}

func TestRunCase_BrokenPromise(t *testing.T) {
	s := &session{ctx: t.Context(), results: t.TempDir(), out: io.Discard, progress: io.Discard}
	err := s.runCase("fanout", "a title", func() error {
		s.recordFailure("naive", nil)
		s.recordFailure("tallycast", errors.New("a viewer got 9 frames where 10 were promised"))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "tallycast: a viewer got 9 frames") || strings.Contains(err.Error(), "naive") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(s.results, "fanout.md")); err != nil {
		t.Errorf("the results are not saved: %v", err)
	}
}

// The second and third like were stored together and acknowledged in reverse order.
func TestTimeline_Oldest(t *testing.T) {
	line := newTimeline(10, []load.Ack{{Count: 11, At: 100}, {Count: 13, At: 300}, {Count: 13, At: 250}})
	if line.final() != 13 || line.last != 300 {
		t.Errorf("final %d, last %d", line.final(), line.last)
	}
	for _, c := range []struct {
		event load.Event
		age   float64
	}{
		{load.Event{At: 150, Before: 10, Count: 11}, 50},  // 11 was acknowledged at 100
		{load.Event{At: 260, Before: 11, Count: 13}, 10},  // 12 was stored with 13, at 250
		{load.Event{At: 400, Before: 12, Count: 13}, 150}, // as was 13
		{load.Event{At: 400, Before: 13, Count: 13}, 0},   // nothing newer
		{load.Event{At: 90, Before: 10, Count: 11}, 0},    // shown before the acknowledgement
	} {
		if got := line.oldest([]load.Event{c.event}); got != c.age {
			t.Errorf("%+v: %v, want %v", c.event, got, c.age)
		}
	}
}

func TestFigures_RatioWithinRound(t *testing.T) {
	f := figures{}
	for i, floor := range []float64{10, 20, 40} {
		f.add("floor", floor)
		f.add("us", floor*[]float64{1.1, 1.3, 1.2}[i])
	}
	if got := f.ratio("us", "floor"); math.Abs(got-1.2) > 1e-9 {
		t.Errorf("%v", got)
	}
	if got := f.ratio("nobody", "floor"); !math.IsNaN(got) {
		t.Errorf("nobody's ratio is %v", got)
	}
}

func TestSelectPeers_ByName(t *testing.T) {
	all := peer.All()
	for names, want := range map[string]int{"": len(all), "tallycast": 1, "centrifuge": 2, "write(2),naive": 2} {
		var list []string
		if names != "" {
			list = strings.Split(names, ",")
		}
		if got, err := selectPeers(all, list); err != nil || len(got) != want {
			t.Errorf("%q: %d, %v", names, len(got), err)
		}
	}
	if _, err := selectPeers(all, []string{"nobody"}); err == nil || !strings.Contains(err.Error(), "socket.io") {
		t.Errorf("%v", err)
	}
}

func TestDelivery_Loops(t *testing.T) {
	for d, want := range map[delivery]int{
		{Topics: 1, Rate: 10}: 1, {Topics: 100, Rate: 900}: 1, {Topics: 1000, Rate: 4000}: 4, {Topics: 7, Rate: 3000}: 7,
	} {
		if got := d.loops(); got != want {
			t.Errorf("%d topics at %v a second: %d loops, want %d", d.Topics, d.Rate, got, want)
		}
	}
}

func TestSize_Rate(t *testing.T) {
	for _, c := range []struct {
		size
		want float64
	}{
		{size{1000, 1, 1}, 10}, {size{5000, 1, 1}, 9}, {size{18000, 1, 1}, 2.5},
		{size{5000, 100, 1}, 900}, {size{5000, 1000, 1}, 4000}, {size{5000, 1000, 50}, 180}, {size{100000, 1, 1}, 1},
	} {
		if got := c.rate(); got != c.want {
			t.Errorf("%s: %v, want %v", c.size, got, c.want)
		}
	}
}
