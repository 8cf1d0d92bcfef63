//go:build race

package processtest

// buildFlags make the program that is tested look for races, as its tests do.
var buildFlags = []string{"-race"}
