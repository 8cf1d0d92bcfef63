// Package load is the load generator: viewers that check every frame, and likers that send
// likes.
//
// One epoll loop serves a [Crowd]; a viewer is a socket and about a hundred bytes. Viewers
// parse each frame and count decreasing versions, closed streams and missing numbers;
// [Report.Check] returns them as an error. The cost of the load generator is not part of any
// figure.
//
// The package knows of HTTP/1.1, Server-Sent Events and WebSocket only what an [Endpoint]
// describes: bytes to send, a marker to wait for, frames to find.
package load
