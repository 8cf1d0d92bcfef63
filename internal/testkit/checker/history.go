package checker

// Moment is a time in microseconds since the Unix epoch. Clients and store share the
// clock, and versions follow it.
type Moment int64

// Outcome is what a client knows about its write.
type Outcome string

const (
	// Acknowledged writes are stored.
	Acknowledged Outcome = "acknowledged"
	// Refused writes were not applied.
	Refused Outcome = "refused"
	// Unknown writes were applied once or not at all: the response was lost, or said that
	// the store is unavailable.
	Unknown Outcome = "unknown"
)

// Write is one assertion, as its visitor saw it. A visitor writes to a topic only when its
// earlier write can have no effect any more, unless both assert the same amount.
type Write struct {
	Visitor  string
	Topic    string
	Amount   int64 // the option of a choice topic
	Instance int
	Called   Moment
	Returned Moment
	Outcome  Outcome
	Answer   string `json:",omitempty"` // why it was not acknowledged

	// The response to an acknowledged write.

	Mine    int64
	Changed bool
	Count   int64
	Options []int64 `json:",omitempty"`
	Version int64
}

// Observation is a state of a topic that a connection received.
type Observation struct {
	Topic   string
	Count   int64
	Options []int64 `json:",omitempty"` // the count of each option of a choice topic
	Version int64
	At      Moment
}

// Connection is one connection of a viewer.
type Connection struct {
	Name     string // transport and number
	Instance int
	// Watched is when the connection received live for a topic; other topics are missing.
	Watched      map[string]Moment
	Seen         []Observation // in order
	Stale        bool          // stale was received after the last live
	StalePeriods []StalePeriod // earlier ones, in order
	Ended        Moment        // 0 if it was open to the end
}

// StalePeriod is the time between stale and live.
type StalePeriod struct {
	Began, Ended Moment
	Seen         int // how many observations came before its end
}

// Fault is a fault that was injected.
type Fault struct {
	Name         string
	Began, Ended Moment
	// Split reports whether two servers may have served independently until Ended, so that
	// counts of that time may contradict each other.
	Split bool
	// LosesData reports whether the store lost data that it had at Began or stored until
	// Ended.
	LosesData bool
	// SetsClock reports whether the store's clock was set, so that versions from Began on
	// are not moments.
	SetsClock bool
}

// Final is the stored state of a topic at the end, after the last fault and write.
type Final struct {
	Topic   string
	Count   int64
	Options []int64 `json:",omitempty"`
	Version int64
	Mine    map[string]int64 // by visitor
}

// History is everything that clients saw in a run.
type History struct {
	Seed          uint64
	Choices       map[string]int // choice topics, with their numbers of options
	Writes        []Write        // those of one visitor to one topic in order
	Connections   []Connection
	Reads         []Observation // in any order
	Faults        []Fault       // ordered by Began
	Final         []Final
	ObservedUntil Moment // when the run ended
	// Slowness is the longest latency of the machine itself. It is added to the limits of
	// the service, to those after a fault [RecoverySteps] times.
	Slowness Moment
}

// countOf is a count of a topic: that of an option, or if option is 0 all of it.
type countOf struct {
	topic  string
	option int
}

// countsOf returns the counts of a topic.
func (h *History) countsOf(topic string) (all []countOf) {
	for option := range h.Choices[topic] + 1 {
		all = append(all, countOf{topic, option})
	}
	return all
}

// value returns what a contribution adds to a count.
func (h *History) value(c countOf, amount int64) int64 {
	isChoice := h.Choices[c.topic] > 0
	switch {
	case !isChoice:
		return amount
	case amount > 0 && (c.option == 0 || c.option == int(amount)):
		return 1
	}
	return 0
}
