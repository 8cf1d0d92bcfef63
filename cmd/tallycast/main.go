// Command tallycast broadcasts live counts. Its commands are in internal/cli.
package main

import "github.com/tallycast/tallycast/internal/cli"

// Set by the linker (-X main.version=…); empty in other builds.
var version, commit string

func main() { cli.Main(version, commit) }
