// Package transfer brings numbers out of a store and into one: the export that a
// store is restored from, plain counts for spreadsheets, what other counters leave
// behind, and the comparison of two stores. The admin API and the command import
// it; it knows stores by their contracts alone.
//
// It keeps these invariants. Memory does not grow with the number of contributions.
// An export can be imported twice, or begun anew after a crash, without counting
// anybody twice. What cannot be read is refused by its line and with a reason, and
// costs nothing but itself. Contributions stand as hashes that mean something under
// their secret alone, hence an export is never stored under another.
package transfer
