package e2e_test

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// likeAll lets n visitors like topic once each, over a number of connections; all
// must be acknowledged.
func (c *client) likeAll(topic string, n, connections int) {
	c.t.Helper()
	each(n, connections, func(i int) {
		a, err := c.try("POST", "/v1/"+topic, "", fmt.Sprintf("Tally-Visitor: visitor-%d", i))
		if err != nil || a.status != 200 {
			c.t.Errorf("like %d: %d %v %s", i, a.status, err, a.body)
		}
	})
}

// each calls do with 0 to n-1, several at once, and waits for all.
func each(n, at int, do func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range at {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}

// metric returns the value of a line of /metrics, given with its labels; -1 where
// it is not there.
func (s *service) metric(name string) float64 { return s.Metric(name) }
