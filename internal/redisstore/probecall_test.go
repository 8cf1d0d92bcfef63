package redisstore

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/redistopology"
)

// A full Redis refuses one part of a probe. The others are reviewed, and the next command on the
// connection gets its own reply.
func TestProbe_RefusedPart(t *testing.T) {
	t.Parallel()
	f := newRevertFixture(t, "likes")
	f.server.Do("CONFIG", "SET", "maxmemory", 1)
	n, isReviewed := f.nodes()[0], false
	parts := append(n.writePart(), probePart{"score", []string{f.names.seedMark()}, []any{seedMarkMember}, func(any) error {
		isReviewed = true
		return nil
	}})
	pipe := n.Client.Pipeline()
	calls := n.appendProbe(t.Context(), pipe, "", parts)
	echo := pipe.Echo(t.Context(), "next")
	if err := redistopology.Exec(t.Context(), pipe); err != nil {
		t.Error(err)
	}
	if echo.Val() != "next" {
		t.Errorf("the next reply is %q", echo.Val())
	}
	took, err := n.runProbe(t.Context(), "", parts)
	if !redis.HasErrorPrefix(err, "OOM ") || took <= 0 || !isReviewed || !calls.answered() {
		t.Errorf("the probe took %s and failed with %v; reviewed: %t", took, err, isReviewed)
	}
}
