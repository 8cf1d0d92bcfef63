package owner_test

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
)

// Two owners revert the same spike at once, on two instances, while readers like the topics:
// each contribution of the spike is reverted once, and no like is lost.
func TestRevert_TwoOwnersAndLikes(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		const topics, spike, likes = 20, 15, 10
		instances := []*instance{open(w.first), open(w.second)}
		var pages []tally.Topic
		for range topics {
			page := newTopic("likes")
			pages = append(pages, page)
			for i := range spike {
				instances[0].contribute(t, page, visitor(i), 1, botAddress)
			}
		}
		selection := owner.Selection{Scope: tally.Scope{Site: "blog"}, From: hourAgo(), Addresses: []netip.Addr{botAddress}}
		var done sync.WaitGroup
		entries := make([]int, 2*len(instances))
		for i := range entries {
			done.Go(func() {
				reverted, err := instances[i%2].Revert(context.Background(), "test", selection, false)
				if err != nil {
					t.Error(err)
				}
				entries[i] = reverted.Entries
			})
		}
		for i := range likes {
			for _, page := range pages {
				instances[i%2].contribute(t, page, visitor(1000+i), 1, readerAddress)
			}
		}
		done.Wait()
		sum := 0
		for _, n := range entries {
			sum += n
		}
		// Owners on two instances may both report a contribution that they revert at the same time.
		if sum < topics*spike || w.first == w.second && sum != topics*spike {
			t.Errorf("the owners reverted %v contributions of %d", entries, topics*spike)
		}
		for _, page := range pages {
			instances[0].counts(t, page, likes)
		}
	})
}
