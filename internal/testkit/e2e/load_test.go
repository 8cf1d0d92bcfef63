package e2e_test

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// likeAll sends likes of n visitors over a number of connections. All must be acknowledged.
func (c *client) likeAll(topic string, n, connections int) {
	c.t.Helper()
	each(n, connections, func(i int) {
		a, err := c.try("POST", "/v1/"+topic, "", fmt.Sprintf("Tally-Visitor: visitor-%d", i))
		if err != nil || a.status != 200 {
			c.t.Errorf("like %d: %d %v %s", i, a.status, err, a.body)
		}
	})
}

// each calls do with 0 to n-1, concurrently in a number of workers, and waits for all.
func each(n, workers int, do func(i int)) {
	var next atomic.Int64
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	working.Wait()
}
