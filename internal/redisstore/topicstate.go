package redisstore

import "github.com/tallycast/tallycast/internal/tally"

// topicState is the state of a watched topic, or of one that is being unsubscribed. There may be
// millions, so it is small.
type topicState struct {
	topic   tally.Topic
	number  uint32 // of the watch; after 2^32 watches numbers repeat
	place   int32  // in its sweepList
	pending uint16 // commands without a confirmation; takeDirty bounds their sum
	flags   topicFlags
}

// topicFlags is a set of flags of a watched topic.
type topicFlags uint8

const (
	wanted     topicFlags = 1 << iota // between Watch and Unwatch
	subscribed                        // the last command sent in this session was SUBSCRIBE
	queued                            // is in dirty
	settling                          // is in settle
	settled                           // settled since it was subscribed in this session
	prefetched                        // a prefetch with its last SUBSCRIBE is undecided
	blocksLive                        // must be settled before the feed is live
	isPresence                        // fixed
)

func (t *topicState) is(f topicFlags) bool { return t.flags&f != 0 }
func (t *topicState) set(f topicFlags)     { t.flags |= f }
func (t *topicState) unset(f topicFlags)   { t.flags &^= f }

// watch is a topic between Watch and Unwatch. Its number distinguishes it from the next
// watch, for which a state that was read before is too old.
type watch struct {
	topic  tally.Topic
	number uint32
}
