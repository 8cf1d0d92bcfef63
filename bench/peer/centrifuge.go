package peer

import (
	"net/url"

	"github.com/tallycast/tallycast/bench/load"
)

// CentrifugeDefault returns the Go library centrifuge with its documented defaults.
func CentrifugeDefault() *Peer {
	p := centrifuge("centrifuge, default")
	p.Settings = "centrifuge v0.40.1, its defaults, channels in memory, counts by INCR in Redis; pongs are not required"
	return p
}

// CentrifugeBest returns centrifuge with every setting that helps here.
func CentrifugeBest() *Peer {
	p := centrifuge("centrifuge, best", "-best")
	p.Settings = "as its default, with UseWriteBufferPool, ReadBufferSize 1024, ProcessCommandsOffReadLoop, and FlushLatestPublication within 50 ms"
	return p
}

func centrifuge(name string, arguments ...string) *Peer {
	const connect = `{"id":1,"connect":{}}`
	p := benchProgram(name, "centrifuge", true, arguments...)
	p.Transports, p.Likes = bothTransports, true
	p.endpoint = func(t load.Transport) load.Endpoint {
		e := load.Endpoint{TopicParam: "topic={topic}", Ready: `"connect":{`}
		if t == load.WebSocket {
			e.Path, e.FirstMessage = "/connection/websocket?{topics}", connect
		} else {
			e.Path = "/connection/sse?cf_connect=" + url.QueryEscape(connect) + "&{topics}"
		}
		return e
	}
	return p
}
