package tally

import (
	"slices"
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

// A round uses the memory of an earlier round, and has only its own writes.
func TestRound_MemoryOfEarlierRound(t *testing.T) {
	catalog := NewCatalog([]string{"default"}, DefaultMetrics())
	var queue []*pendingWrite
	for i, text := range []string{"default/likes/a", "default/likes/b", "default/likes/a"} {
		topic, err := catalog.Resolve(text)
		if err != nil {
			t.Fatal(err)
		}
		p := &pendingWrite{}
		p.reset(topic, "", time.Now().Add(time.Hour), Write{Member: Member(i + 1)}, nil)
		queue = append(queue, p)
	}
	var r round
	r.take(slices.Clone(queue))
	r.take(slices.Clone(queue[1:]))
	if len(r.batches) != 2 || len(r.batches[0].Writes) != 1 || r.batches[0].Writes[0].Member != 2 ||
		len(r.pending[1]) != 1 || r.pending[1][0] != queue[2] {
		t.Errorf("the second round has the batches %+v", r.batches)
	}
	waiting := make([]*pendingWrite, len(queue))
	if allocations := testing.AllocsPerRun(100, func() {
		copy(waiting, queue)
		r.take(waiting)
	}); allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}
