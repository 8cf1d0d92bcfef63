// Package checker judges what happened between clients and a service whose parts
// failed meanwhile: it takes a recorded [History] and finds what breaks a promise.
//
// It knows nothing of how a history came about. The tests of this package record
// one from real instances, a real Redis and a nemesis, and judge it; they also judge
// histories that were made up to be wrong, since a judge that finds nothing is worth
// nothing. Nothing but tests imports it.
package checker
