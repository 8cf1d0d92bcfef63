package hub

import (
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// stats count since the hub was made; viewers is as of now.
type stats struct {
	viewers   atomic.Int64
	received  atomic.Int64
	delivered atomic.Int64
	written   atomic.Int64
	lagging   atomic.Int64
	lag       atomic.Int64 // nanoseconds, of all that lagged
	closed    [reasons]atomic.Int64
}

// Viewers returns how many viewers there are.
func (h *Hub) Viewers() int64 { return h.stats.viewers.Load() }

// Metrics implements [tally.Instrumented].
func (h *Hub) Metrics() []tally.Sample {
	metrics := []tally.Sample{
		{Name: "viewers", Help: "Connections that watch topics.", Value: float64(h.stats.viewers.Load())},
		{Name: "watched_topics", Help: "Distinct topics that are watched.", Value: float64(h.topics.count.Load())},
		{Name: "changes_heard_total", Counter: true, Help: "Changes that the feed delivered.", Value: float64(h.stats.received.Load())},
		{Name: "frames_delivered_total", Counter: true, Help: "Frames of changes that viewers took.", Value: float64(h.stats.delivered.Load())},
		{Name: "delivered_bytes_total", Counter: true, Help: "Bytes that viewers took.", Value: float64(h.stats.written.Load())},
	}
	metrics = append(metrics,
		tally.Sample{Name: "delivery_lag_seconds_total", Counter: true, Help: "From hearing a change to handing it to a viewer, summed over delivery_lag_frames_total.", Value: time.Duration(h.stats.lag.Load()).Seconds()},
		tally.Sample{Name: "delivery_lag_frames_total", Counter: true, Help: "Frames of changes that viewers took, snapshots left out.", Value: float64(h.stats.lagging.Load())},
	)
	for reason := range reasons {
		metrics = append(metrics, tally.Sample{
			Name: "viewers_left_total", Counter: true, Help: "Viewers that are gone, by reason.",
			Label: "reason", LabelValue: reason.String(), Value: float64(h.stats.closed[reason].Load()),
		})
	}
	return metrics
}
