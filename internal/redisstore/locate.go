package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// locator knows whom to ask who holds which slots.
//
// go-redis has clients for Sentinel and Cluster. They hide which node a command
// goes to, and everything here depends on that: each node has a clock of its own,
// WAIT counts for the connection that wrote, a lane must not wait for another
// node, and a publication is to come back from where it was made. So go-redis
// makes the connections, and who holds what is asked here.
type locator interface {
	// locate asks. With doubt between answers, now counts.
	locate(ctx context.Context, now *chart) ([]span, error)
	close()
}

// wholly is one node that holds all.
func wholly(addr string) []span { return []span{{0, slots - 1, addr}} }

// sentinels ask for the primary of one name.
type sentinels struct {
	store  *Store
	master string

	mu      sync.Mutex
	clients map[string]sentinelClient // guarded by mu, by address
}

// sentinelClient is a client, and which of the credentials it offers.
type sentinelClient struct {
	*redis.SentinelClient
	with int
}

// locate goes by what most of the Sentinels that answer say: one that was cut off
// may name the primary of yesterday.
func (l *sentinels) locate(ctx context.Context, now *chart) ([]span, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	answers := askAll(l.store.target.addrs, func(addr string) (string, error) { return l.ask(ctx, addr) })
	votes := map[string]int{}
	var failed []error
	for _, a := range answers {
		if a.err != nil {
			failed = append(failed, fmt.Errorf("the Sentinel at %s: %w", a.addr, a.err))
			continue
		}
		votes[a.says] += 2
		if now.only != nil && now.only.addr == a.says {
			votes[a.says]++ // decides between as many and as many
		}
	}
	best := ""
	for addr, n := range votes {
		if best == "" || n > votes[best] || n == votes[best] && addr < best {
			best = addr
		}
	}
	if best == "" {
		return nil, errors.Join(failed...)
	}
	return wholly(best), nil
}

// ask asks the Sentinel at addr, with the credentials that it took last, and with the
// others if it refuses them.
func (l *sentinels) ask(ctx context.Context, addr string) (string, error) {
	all := l.store.target.forSentinels()
	var tried []string
	for {
		client := l.client(addr, all)
		says, err := client.GetMasterAddrByName(ctx, l.master).Result()
		switch {
		case errors.Is(err, redis.Nil):
			return "", fmt.Errorf("it watches no primary of the name %q", l.master)
		case refusesCredentials(err):
			l.refused(addr, client, len(all))
			if tried = append(tried, all[client.with].String()); len(tried) == len(all) {
				return "", fmt.Errorf("it refuses %s: %w (for Sentinels with a password of their own, add ?sentinel_password=… to the URL of the store, and &sentinel_user=… where the user is not \"default\")",
					strings.Join(tried, ", and "), err)
			}
			continue
		case err != nil:
			return "", err
		case len(says) != 2:
			return "", fmt.Errorf("it answered %q", says)
		}
		return net.JoinHostPort(says[0], says[1]), nil
	}
}

// refusesCredentials reports whether whoever answered wants another user or password.
func refusesCredentials(err error) bool {
	return redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

// client returns the client for the Sentinel at addr.
func (l *sentinels) client(addr string, all []credentials) sentinelClient {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := l.clients[addr]
	if client.SentinelClient == nil {
		client.SentinelClient = l.store.sentinelClient(addr, all[client.with])
		l.clients[addr] = client
	}
	return client
}

// refused ends a client, so that the next one offers the next credentials.
func (l *sentinels) refused(addr string, client sentinelClient, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[addr] == client {
		l.clients[addr] = sentinelClient{with: (client.with + 1) % all}
		_ = client.Close()
	}
}

func (l *sentinels) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, client := range l.clients {
		if client.SentinelClient != nil {
			_ = client.Close()
		}
	}
}

// mostAsked bounds the nodes of a Cluster that are asked at once.
const mostAsked = 7

// members asks nodes of a Cluster for its map.
type members struct {
	store *Store

	mu      sync.Mutex
	clients map[string]*redis.Client // guarded by mu, by address
}

// locate goes, slot by slot, by what most of the nodes that answer say: one that
// was cut off takes itself for a primary still.
func (l *members) locate(ctx context.Context, now *chart) ([]span, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	asked := l.whom(now)
	answers := askAll(asked, func(addr string) ([]span, error) { return l.ask(ctx, addr) })
	var failed []error
	var maps [][]span
	for _, a := range answers {
		if a.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", a.addr, a.err))
			continue
		}
		maps = append(maps, a.says)
	}
	if len(maps) == 0 {
		return nil, fmt.Errorf("no node of the Cluster tells who holds what: %w", errors.Join(failed...))
	}
	return most(maps, now), nil
}

// whom returns the addresses to ask, those of the URL and those that hold slots,
// and forgets the clients of others.
func (l *members) whom(now *chart) []string {
	asked := slices.Clone(l.store.target.addrs)
	for _, n := range now.nodes {
		if !slices.Contains(asked, n.addr) {
			asked = append(asked, n.addr)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, client := range l.clients {
		if !slices.Contains(asked, addr) {
			_ = client.Close()
			delete(l.clients, addr)
		}
	}
	rand.Shuffle(len(asked), func(i, j int) { asked[i], asked[j] = asked[j], asked[i] })
	return asked[:min(len(asked), mostAsked)]
}

func (l *members) ask(ctx context.Context, addr string) ([]span, error) {
	l.mu.Lock()
	client := l.clients[addr]
	if client == nil {
		client = l.store.plainClient(addr)
		l.clients[addr] = client
	}
	l.mu.Unlock()
	// What replaces it, CLUSTER SHARDS, is not in version 6.
	command := redis.NewClusterSlotsCmd(ctx, "cluster", "slots")
	if err := client.Process(ctx, command); err != nil {
		return nil, err
	}
	held := command.Val()
	var spans []span
	for _, s := range held {
		if len(s.Nodes) > 0 { // the first is the primary
			spans = append(spans, span{s.Start, s.End, absolute(s.Nodes[0].Addr, addr)})
		}
	}
	return spans, nil
}

// absolute completes an address without a host, which means that of the node that
// told it.
func absolute(told, by string) string {
	if host, port, err := net.SplitHostPort(told); err == nil && host == "" {
		if host, _, err = net.SplitHostPort(by); err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return told
}

func (l *members) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, client := range l.clients {
		_ = client.Close()
	}
}

// most merges maps: a slot belongs to whom most of them say, to its holder of now
// where as many say so as say otherwise.
func most(maps [][]span, now *chart) []span {
	same := true
	for _, spans := range maps {
		slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
		same = same && slices.Equal(spans, maps[0])
	}
	if same {
		return maps[0] // nearly always
	}
	expanded := make([][]string, len(maps))
	for i, spans := range maps {
		expanded[i] = make([]string, slots)
		for _, s := range spans {
			for slot := max(s.first, 0); slot <= min(s.last, slots-1); slot++ {
				expanded[i][slot] = s.addr
			}
		}
	}
	var merged []span
	for slot := range slots {
		holder := ""
		if n := now.at(slot); n != nil {
			holder = n.addr
		}
		best, votes := "", 0
		for i := range expanded {
			addr := expanded[i][slot]
			n := 0
			for j := range expanded {
				if expanded[j][slot] == addr {
					n++
				}
			}
			if n > votes || n == votes && addr == holder {
				best, votes = addr, n
			}
		}
		if best == "" {
			continue
		}
		if last := len(merged) - 1; last >= 0 && merged[last].addr == best && merged[last].last == slot-1 {
			merged[last].last = slot
		} else {
			merged = append(merged, span{slot, slot, best})
		}
	}
	return merged
}

// at returns the holder of a slot.
func (c *chart) at(slot int) *node {
	if c.held == nil {
		return c.only
	}
	return c.held[slot]
}

// answer is what the one at addr says.
type answer[T any] struct {
	addr string
	says T
	err  error
}

// askAll asks all at once.
func askAll[T any](addrs []string, ask func(addr string) (T, error)) []answer[T] {
	answers := make([]answer[T], len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { // ends within the time that asking may take
			says, err := ask(addr)
			answers[i] = answer[T]{addr, says, err}
		})
	}
	all.Wait()
	return answers
}
