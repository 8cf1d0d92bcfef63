package redisstore

import (
	"net"
	"time"
)

// gatherFor is the least time between two reads of a subscription's connection.
// What a change costs an instance is mostly that it wakes for it: the reading
// goroutine, then the hub's. Where changes of many topics come thick they are taken
// together, and a page waits for them no longer than it could tell; where they come
// thinner than this, each is read at once.
const gatherFor = time.Millisecond

// gatheringConn is a connection that is read at most once in each gatherFor, as
// network cards hold back interrupts under load. One goroutine reads.
type gatheringConn struct {
	net.Conn
	read time.Time // when the last read ended
}

func (c *gatheringConn) Read(p []byte) (int, error) {
	if wait := gatherFor - time.Since(c.read); wait > 0 {
		time.Sleep(wait)
	}
	n, err := c.Conn.Read(p)
	c.read = time.Now()
	return n, err
}
