// Package sqlitestore is the embedded store: [tally.Store], [tally.Feed] and
// [tally.Ledger] over one SQLite file, for a service of one instance. Only commands
// import it, and only it imports the SQL driver.
//
// It keeps these invariants. One process at a time writes a file, held by a lock
// beside it. One goroutine writes, in transactions that are on disk before their
// results are told; changes are published after that, in the order of commits.
// A topic's count is its seed, its adjustment and the sum of its contributions, and
// its row and theirs change in the same transaction. No transaction is long: what
// is large is written, and removed, in portions, of which each leaves the file in
// order. An id of a topic is never used again, so that what is still to be removed
// belongs to nobody. Who is present is kept in memory alone, since it ends with the
// process that holds the connections.
//
// Readers of other processes come in by [OpenReader] and [Backup], which take no lock.
//
// The schema stands in migration/ and is meant to be read by people: any SQLite
// tool may open the file while the service runs.
package sqlitestore
