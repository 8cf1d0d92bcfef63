//go:build race

package processtest

// buildFlags make the program that is tested look for races, as its tests do: in all
// code but SQLite's, as the Makefile explains.
var buildFlags = []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}
