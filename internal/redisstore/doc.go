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
//	tally:{site/metric/key}:count    hash: n count, v version, d depth of members, and
//	                                 where they are not 0 s seed and a adjustment; e the
//	                                 mark; see script/apply.lua and script/mark.lua
//	tally:{site/metric/key}:members  who contributes: a trie of packed buckets, see
//	                                 script/apply.lua; for amounts a hash of them
//	tally:{site/metric/key}:journal:DAY
//	                                 contributions of a day that became more, 16 bytes
//	                                 each, see script/part/journal.lua; ends by itself
//	tally:{site/metric/key}:ended    version at which the topic was deleted, for an hour
//	tally:{site/metric/key}:shares   presence: hash of instance to "pages expires"
//	tally:{site/metric/key}:0        Pub/Sub channel; the payload is the frame
//	tally:top:{site/metric}          leaderboard, a projection: key by -count
//	tally:top:{site/metric}:versions hash: the version at which each key stands there
//	tally:topics:{site}              directory, a projection: metric/key by version
//	tally:register                   hash: settings, and claims of merges under way
//	tally:audit                      stream: what owners did; never cut
//	tally:{pulses}                   hash: instance to "expires writes status"
//	tally:{pulses}:activity:DAY      hash: "minute site" to writes; ends by itself
//	tally:gossip:0                   Pub/Sub channel of Broadcast
//	tally:probe:INSTANCE:0           Pub/Sub channel on which an instance hears itself
//	tally:{check/INSTANCE}:probe     written again and again, to see that writes work
//	tally:layout                     version of this layout
//	tally:secret                     key of the visitor hash
//	tally:rules                      hash: metric to the rule of its data; see rule.go
//	tally:seeded                     sorted set of one score, which rises when seeds are set;
//	                                 see seedmark.go
//
// DAY is days since the Unix epoch in the node's clock, give or take a few seconds: a
// key has minutes of its neighbours.
//
// The count is seed + adjustment + what members contribute. Instances of before know
// only n, v and d, which mean what they meant, so that they may run beside newer ones;
// what is contributed through them is not in the journal.
//
// # Projections and the truth
//
// Leaderboards and directories follow the counts within 2 s, and a sweep repairs them.
// What must be complete, a dump, a page by name, the usage of sites, goes over all keys
// by SCAN instead, on every primary, and again where slots moved meanwhile. That costs
// Redis a second or less for a million keys, of which a topic has two and one more for
// each day of its journal.
package redisstore
