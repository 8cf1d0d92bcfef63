package peer

import "github.com/tallycast/tallycast/bench/load"

// Naive is what anyone would write on a first day.
func Naive() *Peer {
	p := own("naive", "naive", true)
	p.Settings = "Gin in release mode, go-redis INCR then PUBLISH, a goroutine and a channel of 16 a viewer, coder/websocket"
	p.Transports, p.Likes = both, true
	p.door = func(t load.Transport) load.Door {
		path := "/stream?{topics}"
		if t == load.WebSocket {
			path = "/ws?{topics}"
		}
		return load.Door{Path: path, TopicParam: "topic={topic}", Ready: live}
	}
	return p
}
