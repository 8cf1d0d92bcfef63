// Package checker finds broken promises in a recorded [History] of what clients saw while
// faults were injected.
//
// The tests of this package record histories of real instances and stores under a
// nemesis. They also check invented histories with known violations. Only tests import it.
package checker
