//go:build !race

package e2e_test

// buildFlags make the binary that is tested the one that people run.
var buildFlags []string
