// Package redisstore keeps counts in a Redis or Valkey that many instances share. It implements
// [tally.Store], [tally.Feed] and [tally.Ledger] on internal/redistopology. Only the wiring of
// the program and commands import it.
//
// Its invariants:
//
//   - All keys of a topic have the topic as their hash tag. In a Cluster a script uses the keys
//     of one topic, so that topics spread over the nodes.
//   - A script checks everything before its first write and publishes last. It has a deadline
//     in Redis's clock, after which it writes nothing.
//   - The version of a topic only grows, and each change of its count is published under a
//     version of its own.
//   - Each node has a health and a subscription of its own: a node that hangs does not affect
//     the others.
//   - A topic is settled only after its subscription was confirmed, so that changes after the
//     read arrive as publications.
//
// With a replica near the instance, topics are read and followed there; see replica.go.
//
// # Layout
//
// With the prefix "tally" and on database 0:
//
//	tally:{site/metric/key}:count    hash: n count, v version, d depth of members, and
//	                                 unless 0 s seed and a adjustment; e the mark and p the
//	                                 prior contributions, see below; see script/apply.lua;
//	                                 of presence also h and g, see script/part/peak.lua
//	tally:{site/metric/key}:members  the members: a trie of packed buckets, see
//	                                 script/apply.lua; for amounts a hash of them
//	tally:{site/metric/key}:journal:DAY
//	                                 contributions of a day that were added or raised, 16
//	                                 bytes each, see script/part/journal.lua; expires
//	tally:{site/metric/key}:hours    history, a hash: hour to record, see below; expires
//	tally:{site/metric/key}:days     history, a hash: day to record; expires
//	tally:{site/metric/key}:ended    version at which the topic was deleted, for an hour
//	tally:{site/metric/key}:shares   presence: hash of instance to "pages expires"
//	tally:{site/metric/key}:0        Pub/Sub channel; the payload is the frame
//	tally:top:{site/metric}          leaderboard, a projection: key by -count
//	tally:top:{site/metric}:versions hash: the version of each key in it; the field ''
//	                                 if it had more topics than fit
//	tally:top:{site/metric}:changed  topics that changed in the last 30 days: key by
//	                                 version; see script/writegains.lua; expires
//	tally:top:{site/metric}:24h      gains, a projection: key by -gain; also :7d and :30d;
//	                                 expires
//	tally:top:{site/metric}:read     exists while somebody reads the gains; expires
//	tally:topics:{site}              directory, a projection: metric/key by version
//	tally:names:{site}               directory, a projection: metric/key by name; the member ''
//	                                 if it has all topics
//	tally:register                   hash: settings, tokens, and claims of running merges; the
//	                                 field revision changes with each of them
//	tally:audit                      stream: the audit log; never trimmed
//	tally:{pulses}                   hash: heartbeats, instance to "expires writes status"
//	tally:{pulses}:activity:DAY      hash: "minute site" to writes; expires
//	tally:usage                      the last measurement of the usage of sites, as JSON; expires
//	tally:lease:NAME                 instance that does the work NAME for all; expires
//	tally:gossip:0                   Pub/Sub channel of Broadcast
//	tally:probe:INSTANCE:0           Pub/Sub channel of an instance's probes
//	tally:{check/INSTANCE}:probe     written by each probe
//	tally:layout                     version of this layout
//	tally:secret                     key of the visitor hash
//	tally:rules                      hash: metric to the rule of its data; see rule.go
//	tally:seeded                     sorted set with one member: the seed mark
//
// DAY, and a day of the history, is the number of days since the Unix epoch in the node's
// clock. A call shortly before midnight may use the key of the next day, so a key can have
// minutes of the day before.
//
// The count is seed + adjustment + the sum of contributions. Older releases know only n, v
// and d, which mean the same there, so they may run beside this one. Their contributions are
// not in the journal.
//
// A contribution must carry the mark of its topic. Otherwise the script answers -2 and the
// stored mark. A mark that begins with ! freezes the topic: scripts answer so to all calls
// except those of the merge that set it.
//
// # History
//
// The state of a topic is also the record of the hour and the day of its version. A change in a
// later hour first stores the earlier state as a record (script/part/record.lua). So a topic
// that changed within one hour only has no records, and a second change in an hour costs
// nothing. A record is the gain and, unless it is 0, after a space the adjustment. For presence
// it is the greatest count, which script/part/peak.lua raises. A topic gets its first record
// only if pages are present in a second hour and [tally.Share.MayRecord] allows it, so that
// pages that do not exist leave nothing behind.
//
// The gain is the sum of contributions minus the prior ones: those that are older than the
// history of the topic, and those that were imported since. So an import changes no record. A ~
// before the number of prior contributions means that the topic is older than its history. A
// topic without the field p has no records. Records under its keys are those of a deleted topic
// of the same name.
//
// An older release records no changes. The next change through this release records the state
// that they left.
//
// # Projections
//
// Leaderboards and directories follow the counts within 2 s. Gains follow within 5 s while somebody
// reads them, and for an hour after. A background scan of one instance repairs all of them
// (repair.go). If a node of a Cluster returns with an older state of a topic, the leaderboard on
// another node has a newer version; the scan then stores the topic again under a greater one. A
// leaderboard has 10,000 topics. A metric has the gains of the 50,000 topics that changed last.
// Older releases write neither gains nor the directory by name. A name takes 95 bytes and its length
// there.
//
// Dumps, pages by count beyond a leaderboard, and the usage of sites must be complete: they SCAN the
// keys of all primaries, and again if slots moved during the scan. That costs Redis two seconds for
// a million keys. A topic has two keys, one more for each day of its journal, and two for its
// history.
package redisstore
