// Package sqlitestore is the embedded store: [tally.Store], [tally.Feed] and
// [tally.Ledger] over one SQLite file, for a service of one instance. Only the wiring
// and commands import it, and only it imports the SQL driver.
//
// Invariants: one process writes a file, protected by a lock file beside it. One goroutine
// writes, in transactions that are on disk before it reports their results. It publishes
// changes afterwards, in the order of commits. A topic's count is its seed plus its
// adjustment plus the sum of its contributions; the rows of all change in the same
// transaction. Transactions are short: large changes are divided into parts, each of which
// leaves the file consistent. The id of a topic is never used again. Presence is in memory,
// since it ends with the process that has the connections.
//
// Other processes read with [OpenReader] and [Backup], which take no lock.
//
// The schema is in migration/. Any SQLite tool may open the file while the service runs.
package sqlitestore
