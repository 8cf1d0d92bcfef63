// Package importer reads the counts of other counters: CSV and JSON files, the exports of GoatCounter
// and Umami, the responses of Busuanzi and applause-button, and the keys of a Redis. Only package cli
// imports it.
//
// It keeps two invariants. An entry that cannot be read is refused with its line and a reason, and the
// other entries are read. Counts of different hosts are added up only if the owner names the hosts.
package importer
