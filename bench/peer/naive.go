package peer

import "github.com/tallycast/tallycast/bench/load"

// Naive returns the obvious implementation.
func Naive() *Peer {
	p := benchProgram("naive", "naive", true)
	p.Settings = "Gin in release mode, go-redis INCR then PUBLISH, a goroutine and a channel of 16 a viewer, coder/websocket"
	p.Transports, p.Likes = bothTransports, true
	p.endpoint = func(t load.Transport) load.Endpoint {
		path := "/stream?{topics}"
		if t == load.WebSocket {
			path = "/ws?{topics}"
		}
		return load.Endpoint{Path: path, TopicParam: "topic={topic}", Ready: live}
	}
	return p
}
