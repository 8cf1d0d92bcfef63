// Package redisstore keeps counts in Redis or Valkey, shared by many instances:
// it implements [tally.Store] and [tally.Feed]. Only this package knows go-redis;
// only the program's wiring imports it.
//
// Its invariants:
//
//   - All keys of a topic have the topic as their hash tag. A script touches the
//     keys of one topic, so that topics spread over a cluster.
//   - A script checks everything before its first write and publishes last. It
//     carries a deadline in Redis's own clock, after which it does nothing.
//   - The version of a topic only grows, and each change of its count is published
//     under a version of its own.
//   - What is known of a node, its clock, its health and its subscription, is known
//     of that node alone: one that hangs leaves the others as they were.
//   - A topic is settled only after its subscription was confirmed, so that what
//     the state read lacks arrives as a publication.
//
// # Shapes
//
// A single Redis, a primary that Sentinels name, and a Cluster differ in who holds
// which slots, and in who is asked for that (see [locator]); a single Redis is a
// fleet of one that never changes. Everything else goes by the slot's holder: a
// lane, a pipeline and a subscription are those of one node.
//
// # Layout
//
// With the prefix "tally" and on database 0:
//
//	tally:{site/metric/key}:count    hash: n count, v version, d depth of members
//	tally:{site/metric/key}:members  who contributes: a trie of packed buckets, see
//	                                 script/apply.lua; for amounts a hash of them
//	tally:{site/metric/key}:shares   presence: hash of instance to "pages expires"
//	tally:{site/metric/key}:0        Pub/Sub channel; the payload is the frame
//	tally:top:{site/metric}          leaderboard, a projection: key by -count
//	tally:top:{site/metric}:versions hash: the version at which each key stands there
//	tally:gossip:0                   Pub/Sub channel of Broadcast
//	tally:probe:INSTANCE:0           Pub/Sub channel on which an instance hears itself
//	tally:{check/INSTANCE}:probe     written again and again, to see that writes work
//	tally:layout                     version of this layout
//	tally:secret                     key of the visitor hash
package redisstore
