package tally

// Sample is one figure for the operator, in the words of the Prometheus text
// format. Whatever has figures to show implements [Instrumented].
type Sample struct {
	Name       string // without the common prefix "tallycast_"
	Help       string
	Counter    bool   // only grows; else a gauge
	Label      string // the name of its one label, or empty
	LabelValue string // the label's value
	Value      float64
}

// Instrumented is implemented by the parts of the system that have figures.
type Instrumented interface {
	// Metrics returns the figures as of now. Metrics of one name share Help,
	// Counter and Label. It does no I/O.
	Metrics() []Sample
}

// Metrics implements [Instrumented].
func (s *Service) Metrics() []Sample {
	return []Sample{
		{Name: "writes_acknowledged_total", Counter: true, Help: "Assertions that the store has.", Value: float64(s.writes.acknowledged.Load())},
		{Name: "writes_failed_total", Counter: true, Help: "Assertions that were answered with store_unavailable.", Value: float64(s.writes.failed.Load())},
		{Name: "write_batches_total", Counter: true, Help: "Batches of one topic's writes sent to the store.", Value: float64(s.writes.batches.Load())},
	}
}
