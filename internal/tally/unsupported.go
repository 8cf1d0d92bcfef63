//go:build !unix

package tally

// Every package of the program imports this one. So a build fails here, with one message, for
// a system without the Unix calls that the program needs: flock, non-blocking sockets, limits
// of open files.
const unsupportedSystem int = "tallycast does not run on this system: it runs on Linux, macOS and FreeBSD; on Windows use WSL 2 or a container"
