// Package load is the load generator: viewers that watch and check what they are
// sent, and likers that press the heart.
//
// Viewers are light: one epoll loop serves a [Crowd], and a viewer is a socket
// and about a hundred bytes. They trust nothing: each frame is parsed, versions
// that go back, streams that end and numbers that are missing are counted, and
// [Report.Check] turns them into an error. What they cost is not counted: the
// figures are the CPU time of the servers alone.
//
// The package knows HTTP/1.1, Server-Sent Events and WebSocket only as far as a
// [Door] describes: bytes to send, a marker to wait for, frames to find.
package load
