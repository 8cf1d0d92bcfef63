package redisstore

import (
	"context"
	"time"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// leaseDuration is how long the work of an instance that dies waits for another instance. A
// holder renews its lease several times within it.
const leaseDuration = 15 * time.Second

// acquireLease acquires or renews the lease with a name, and reports whether this instance
// holds it. An instance with the lease does for all of them what needs to be done once, such as
// a scan of all keys. Redis's clock ends a lease. After a failover, or if a holder was
// suspended, two instances may hold it: the work must be harmless if it is done twice.
func (s *Store) acquireLease(ctx context.Context, name string) (held bool, err error) {
	return s.setLease(ctx, name, leaseDuration)
}

func (s *Store) setLease(ctx context.Context, name string, duration time.Duration) (held bool, err error) {
	c := redistopology.NewCall(leaseScript, s.names.lease(name))
	c.Append(s.instance, duration.Milliseconds())
	if c = s.call(ctx, c); c.Err != nil {
		return false, tally.Unavailable(c.Err)
	}
	return c.Text() == "1", nil
}

// keepLease renews a lease that this instance holds until release is called, which ends it.
func (s *Store) keepLease(name string) (release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with release, which waits for it
		defer close(ended)
		for sleep(ctx, leaseDuration/3) {
			_, _ = s.acquireLease(ctx, name) // tried again before the lease ends
		}
	}()
	return func() {
		cancel()
		<-ended
		_, _ = s.setLease(context.Background(), name, 0) // else it expires
	}
}
