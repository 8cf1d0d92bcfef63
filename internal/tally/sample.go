package tally

// Sample is one value, or one histogram, for Prometheus.
type Sample struct {
	Name       string // without the common prefix "tallycast_"
	Help       string
	Counter    bool   // it only grows; otherwise it is a gauge or a histogram
	Label      string // the name of its only label, or empty
	LabelValue string
	Value      float64
	// Histogram makes the sample a histogram, instead of Value.
	Histogram *Histogram
}

// Instrumented is implemented by the parts of the system that report samples.
type Instrumented interface {
	// Metrics returns the current samples. Those of one name share Help, Counter and
	// Label. It does no I/O.
	Metrics() []Sample
}

// Metrics implements [Instrumented].
func (s *Service) Metrics() []Sample {
	return []Sample{
		{Name: "writes_acknowledged_total", Counter: true, Help: "Assertions that the store acknowledged.", Value: float64(s.counters.acknowledged.Count())},
		{Name: "writes_failed_total", Counter: true, Help: "Assertions that were answered with store_unavailable.", Value: float64(s.counters.failed.Load())},
		{Name: "write_duration_seconds", Help: "Time from receiving an assertion until the store acknowledged it.", Histogram: &s.counters.acknowledged},
		{Name: "write_batches_total", Counter: true, Help: "Batches of one topic's writes sent to the store.", Value: float64(s.counters.batches.Load())},
	}
}
