//go:build !race

package processtest

// buildFlags make the program that is tested the one that people run.
var buildFlags []string
