// Package processtest starts programs for tests, and the program of this module
// above all: built once a run, on free loopback ports, read by its log and ended by
// its process id. Tests of every package use it; nothing else does.
//
// Whatever is started ends with its test at the latest, and fails the test when it
// reported a race or a panic.
package processtest
