package peer

import (
	"net/url"

	"github.com/tallycast/tallycast/bench/load"
)

// CentrifugeDefault is the Go library centrifuge as its documentation shows it.
func CentrifugeDefault() *Peer {
	p := centrifuge("centrifuge, default")
	p.Settings = "centrifuge v0.40.1, its defaults, channels in memory, counts by INCR in Redis; no answers to its beats asked for"
	return p
}

// CentrifugeBest is the same with every setting that helps here.
func CentrifugeBest() *Peer {
	p := centrifuge("centrifuge, best", "-best")
	p.Settings = "as its default, with UseWriteBufferPool, ReadBufferSize 1024, ProcessCommandsOffReadLoop, and FlushLatestPublication within 50 ms"
	return p
}

func centrifuge(name string, arguments ...string) *Peer {
	const connect = `{"id":1,"connect":{}}`
	p := own(name, "centrifuge", true, arguments...)
	p.Transports, p.Likes = both, true
	p.door = func(t load.Transport) load.Door {
		door := load.Door{TopicParam: "topic={topic}", Ready: `"connect":{`}
		if t == load.WebSocket {
			door.Path, door.Greeting = "/connection/websocket?{topics}", connect
		} else {
			door.Path = "/connection/sse?cf_connect=" + url.QueryEscape(connect) + "&{topics}"
		}
		return door
	}
	return p
}
