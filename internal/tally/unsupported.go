//go:build !unix

package tally

// Every package of the program imports this one. So a build for a system that has none of
// the calls of Unix that the program needs (flock, non-blocking sockets, limits of open
// files) ends here, with one message.
const unsupportedSystem int = "tallycast does not run on this system: it runs on Linux, macOS and FreeBSD; on Windows use WSL 2 or a container"
