package tally_test

import (
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestQuantity(t *testing.T) {
	for n, want := range map[int]string{0: "0 topics", 1: "1 topic", 2: "2 topics", -1: "-1 topics", 1_000_001: "1000001 topics"} {
		if got := tally.Quantity(n, "topic"); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
