// Package transfer exports a store to a file, imports such a file, and copies and compares
// stores. The file is JSON Lines; see [Format]. The admin API and the commands import this
// package.
//
// It keeps these invariants. Memory does not grow with the number of contributions. An import can be
// repeated, for example after a crash, and counts no visitor twice. A line that cannot be read is
// refused with its number and a reason; the others are imported. A file has hashes of visitors, which
// are valid with one secret only, so it is never imported into a store with another secret.
package transfer
