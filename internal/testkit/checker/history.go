package checker

// Moment is a time in microseconds since the Unix epoch, of the one clock that
// clients and store share: what versions follow, too.
type Moment int64

// Outcome is what a client knows of its write.
type Outcome string

const (
	// Acknowledged writes are stored.
	Acknowledged Outcome = "acknowledged"
	// Refused writes were not applied.
	Refused Outcome = "refused"
	// Unknown writes were applied once, or not: the answer was lost, or said that
	// the store could not be reached.
	Unknown Outcome = "unknown"
)

// Write is one assertion, as its visitor saw it. Writes of one visitor to one topic
// follow each other: the next is called when the one before can have no effect any
// more, unless both assert the same amount.
type Write struct {
	Visitor  string
	Topic    string
	Amount   int64
	Instance int
	Called   Moment
	Returned Moment
	Outcome  Outcome
	Answer   string `json:",omitempty"` // why it was not acknowledged

	// Of acknowledged writes, as they were answered.

	Mine    int64
	Changed bool
	Count   int64
	Version int64
}

// Sighting is a state of a topic that a connection was sent.
type Sighting struct {
	Topic   string
	Count   int64
	Version int64
	At      Moment
}

// Connection is a viewer from its coming to its going.
type Connection struct {
	Name     string // transport and number
	Instance int
	// Watched is since when the connection was told that its numbers of a topic are
	// current; topics of which it was never told so are missing.
	Watched map[string]Moment
	Seen    []Sighting // in the order in which they came
	Stale   bool       // the last that it was told of its numbers is that they may be old
	Doubts  []Doubt    // the times before, in their order
	Ended   Moment     // 0 for a connection that was open to the end
}

// Doubt is a time between being told that numbers may be old and that they are
// current again.
type Doubt struct {
	Began, Ended Moment
	Seen         int // how many sightings came before its end
}

// Fault is something that was broken for a while.
type Fault struct {
	Name         string
	Began, Ended Moment
	// Split says that two stores may have answered until Ended, each for itself: what
	// was seen of that time need not fit together.
	Split bool
	// Forgets says that the store itself lost some or all of what it had at Began or
	// took until Ended.
	Forgets bool
	// Clock says that the store's clock was set: versions are no moments from Began on.
	Clock bool
}

// Final is what is stored of a topic at the end, when nothing has been broken or
// written for a while.
type Final struct {
	Topic   string
	Count   int64
	Version int64
	Mine    map[string]int64 // by visitor
}

// History is all that happened.
type History struct {
	Seed        uint64
	Writes      []Write // those of one visitor to one topic in their order
	Connections []Connection
	Reads       []Sighting // what was read beside, in any order
	Faults      []Fault    // by their beginnings
	Final       []Final
	Judged      Moment // until when connections were watched
	// Slowness is what the machine itself took for what waits for nothing, at the worst:
	// it comes on top of what the service may take.
	Slowness Moment
}
