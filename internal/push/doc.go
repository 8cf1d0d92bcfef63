// Package push owns the viewers' connections: Server-Sent Events and WebSocket.
//
// Both are taken over from net/http (RFC 9112 connections, hijacked), so that its
// goroutine and buffers go. A connection on which nothing happens has neither a
// goroutine nor a buffer: what a client sends, or that it hung up, is noticed by
// loops of this package that wait for all of them (see readiness).
//
// Whatever is written goes through the hub: a connection's shard is the only one
// that writes to it. The WebSocket library makes the handshake; frames are put
// together here (see inbound), since the library would need a goroutine a viewer.
//
// The HTTP edge calls [Server] with what it knows of the client; packages below
// are hub and tally. Only this package knows the WebSocket library.
package push
