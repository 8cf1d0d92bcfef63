package tally

// Sample is one value in the Prometheus text format.
type Sample struct {
	Name       string // without the common prefix "tallycast_"
	Help       string
	Counter    bool   // it only grows; otherwise it is a gauge
	Label      string // the name of its only label, or empty
	LabelValue string
	Value      float64
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
		{Name: "writes_acknowledged_total", Counter: true, Help: "Assertions that the store acknowledged.", Value: float64(s.counters.acknowledged.Load())},
		{Name: "writes_failed_total", Counter: true, Help: "Assertions that were answered with store_unavailable.", Value: float64(s.counters.failed.Load())},
		{Name: "write_batches_total", Counter: true, Help: "Batches of one topic's writes sent to the store.", Value: float64(s.counters.batches.Load())},
	}
}
