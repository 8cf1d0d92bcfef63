// Package sqlitestore is the embedded store: [tally.Store] and [tally.Feed] over
// one SQLite file, for a service of one instance. Only the command that wires the
// service imports it, and only it imports the SQL driver.
//
// It keeps these invariants. One process at a time writes a file, held by a lock
// beside it. One goroutine writes, in transactions that are on disk before their
// results are told; changes are published after that, in the order of commits.
// A topic's count is the sum of its contributions, and its row and theirs change
// in the same transaction. Who is present is kept in memory alone, since it ends
// with the process that holds the connections.
//
// The schema stands in migration/ and is meant to be read by people: any SQLite
// tool may open the file while the service runs.
package sqlitestore
