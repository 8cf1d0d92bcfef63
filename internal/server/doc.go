// Package server wires the parts of a serving instance: listeners, store, hub, push, API,
// owner's tools and seeding. [Run] starts them, prints the startup summary, and stops
// them in an order in which no acknowledged request is lost. Only internal/cli imports it.
package server
