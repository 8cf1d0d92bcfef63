//go:build race

package e2e_test

// buildFlags make the binary that is tested look for races, as its tests do.
var buildFlags = []string{"-race"}
