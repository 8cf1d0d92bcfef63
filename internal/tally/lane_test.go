package tally

import (
	"testing"
	"time"
)

// A write that is larger than a batch leaves the queue: in a batch of its own.
func TestRound_LargeWrite(t *testing.T) {
	topic, err := NewCatalog([]string{"default"}, map[string]Rule{"poll": {Kind: Choice, Max: 10}}).Resolve("default/poll/lunch")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	large, small := &pendingWrite{}, &pendingWrite{}
	large.reset(topic, "", deadline, Write{Member: 1, Amount: 2}, make([]Write, MaxBatchWrites))
	small.reset(topic, "", deadline, Write{Member: 2, Amount: 2}, nil)
	var r round
	left := r.take([]*pendingWrite{large, small})
	if len(left) != 1 || left[0] != small || len(r.pending) != 1 || len(r.pending[0]) != 1 || r.pending[0][0] != large {
		t.Errorf("left %d writes, %d batches with %d writes", len(left), len(r.batches), len(r.pending[0]))
	}
}
