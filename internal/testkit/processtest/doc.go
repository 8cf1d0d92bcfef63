// Package processtest starts programs for tests, most of all the program of this module:
// built once, on free loopback ports. Tests of every package import it.
//
// A started process ends with its test at the latest, and fails the test if its log
// contains a race or a panic.
package processtest
