// Package e2e holds the promises of the public contract against the built
// binary, as people run it: processes on loopback ports, real stores, signals.
// It holds tests alone and nothing imports it. Names of tests are promises.
//
// The binary is built once a run, with the race detector where the tests have
// it, and every test fails when a service it started reports a race or a panic.
package e2e
