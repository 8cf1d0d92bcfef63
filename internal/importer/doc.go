// Package importer reads the counts of other counters: CSV and JSON files, the exports of
// GoatCounter and Umami, the answers of Busuanzi and applause-button, and the keys of a
// Redis. Only the import command imports it.
//
// It keeps two invariants. An entry that cannot be read is refused with its line and a
// reason, and the others are imported. Counts of different hosts are never added up
// unless the owner names the hosts.
package importer
