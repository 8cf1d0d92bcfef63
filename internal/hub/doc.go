// Package hub is the fan-out: it holds the newest value of each watched topic,
// knows who watches what, and sends each viewer what changed for it.
//
// Values come in through [tally.Sink] and go out through [Conn]. Package push
// owns the connections and calls the hub; the feed calls it from the other side.
//
// Nothing is queued for a viewer. What a viewer still has to get follows from
// comparing, topic by topic, the version it was sent with the version that was
// released; a value that a newer one replaces is never sent, the last one always
// is. Hence a slow viewer costs no more than a fast one.
//
// On one connection the versions of a topic only grow. A viewer remembers the versions of
// topics that it unsubscribed from; if it subscribes again and the store has an older
// version, the store reissues its value before the viewer is sent one.
//
// Viewers are divided among shards, one a processor, that share nothing but the
// newest values: one goroutine owns each shard's viewers and lists, makes all
// writes to its viewers and closes their connections. Others reach it through
// its inbox. A topic that changed is flushed at once and then not again within
// the flush interval, nor within two to four times what all that waits in its
// shard will take where that is longer, so that pushing leaves room for writing.
package hub
