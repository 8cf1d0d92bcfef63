// Package push owns the viewers' connections: Server-Sent Events and WebSocket.
//
// Both are taken over from net/http (RFC 9112 connections, hijacked), so that its
// goroutine and buffers go: an event stream has no goroutine at all, a WebSocket a
// small one that reads. Whatever is written goes through the hub, whose shard is
// the only one that writes to a connection or closes its descriptor; the WebSocket
// library's own frames, pongs and closings, are handed to the shard like any other.
//
// The HTTP edge calls [Server] with what it knows of the client; packages below
// are hub and tally. Only this package knows the WebSocket library.
package push
