// Package e2e tests the public contract on the built binary: processes on loopback ports,
// real stores, signals. It contains only tests.
//
// The binary has the race detector if the tests have it. A test fails if a service that it
// started reports a race or a panic.
package e2e
