package redistopology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// locateTimeout is how long Sentinels and nodes may take to answer.
	locateTimeout = time.Second
	// maxSources bounds how many Sentinels or nodes are asked at once.
	maxSources = 7
)

// locator asks Sentinels, or the nodes of a Cluster, which node holds each slot. The primary
// that a Sentinel names holds all of them.
//
// go-redis has clients for Sentinel and Cluster, but they hide the node to which they send a
// command. This package has to know it: each node has a clock, WAIT applies to the
// connection that wrote, and a node that hangs must not delay others.
type locator struct {
	url *storeURL

	mu      sync.Mutex
	clients map[source]*redis.Client // guarded by mu
}

// source is a Sentinel or node, and the credentials for it.
type source struct {
	addr  string
	login credentials
}

// locate returns the slot map that most sources report, since a source that is cut off from the
// others may report a former primary. The current owner of a slot wins a tie.
func (l *locator) locate(ctx context.Context, current *SlotMap) ([]SlotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	addrs := l.sources(current)
	maps, errs := make([][]SlotRange, len(addrs)), make([]error, len(addrs))
	var asked sync.WaitGroup
	for i, addr := range addrs {
		asked.Go(func() { // ends within locateTimeout
			if maps[i], errs[i] = l.ask(ctx, addr); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", addr, errs[i])
			}
		})
	}
	asked.Wait()
	maps = slices.DeleteFunc(maps, func(ranges []SlotRange) bool { return len(ranges) == 0 })
	if len(maps) == 0 {
		return nil, errors.Join(errs...)
	}
	return mergeSlotMaps(maps, current), nil
}

// sources returns the addresses to ask: those of the URL, and in a Cluster also those of the
// nodes that hold slots. It closes the clients of other sources.
func (l *locator) sources(current *SlotMap) []string {
	addrs := slices.Clone(l.url.addrs)
	if l.url.mode == cluster {
		for _, n := range current.nodes {
			if !slices.Contains(addrs, n.Addr) {
				addrs = append(addrs, n.Addr)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, client := range l.clients {
		if !slices.Contains(addrs, s.addr) {
			_ = client.Close()
			delete(l.clients, s)
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:min(len(addrs), maxSources)]
}

// ask returns the slot map that a source reports, with the first credentials that it accepts.
func (l *locator) ask(ctx context.Context, addr string) (ranges []SlotRange, err error) {
	var refused []string
	for _, login := range l.url.sourceLogins() {
		client := l.client(source{addr, login})
		if l.url.mode == cluster {
			ranges, err = askNode(ctx, client, addr)
		} else {
			ranges, err = askSentinel(ctx, client, l.url.primary)
		}
		if !refusesCredentials(err) {
			return ranges, err
		}
		refused = append(refused, login.String())
	}
	hint := ""
	if l.url.mode == sentinel {
		hint = ` (for Sentinels with a password of their own, add ?sentinel_password=… to the URL of the store, and &sentinel_user=… if the user is not "default")`
	}
	return nil, fmt.Errorf("it refuses %s: %w%s", strings.Join(refused, ", and "), err, hint)
}

func refusesCredentials(err error) bool {
	return redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

// client returns the client for a source. It has one connection, which is not verified.
func (l *locator) client(s source) *redis.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := l.clients[s]
	if client == nil {
		settings := l.url.settingsFor(s.addr)
		settings.Username, settings.Password = s.login.user, s.login.password
		settings.DB = 0 // Sentinels and Clusters have no other
		settings.PoolSize, settings.MaxActiveConns = 1, 1
		settings.MaxRetries = -1
		client = redis.NewClient(settings)
		l.clients[s] = client
	}
	return client
}

func (l *locator) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, client := range l.clients {
		_ = client.Close()
	}
}

func askSentinel(ctx context.Context, client *redis.Client, primary string) ([]SlotRange, error) {
	command := redis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", primary)
	err := client.Process(ctx, command)
	switch addr := command.Val(); {
	case errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("it monitors no primary named %q", primary)
	case err != nil:
		return nil, err
	case len(addr) != 2:
		return nil, fmt.Errorf("unexpected answer %q", addr)
	default:
		return allSlots(net.JoinHostPort(addr[0], addr[1])), nil
	}
}

// askNode returns the slot map that the cluster node knows.
func askNode(ctx context.Context, client *redis.Client, addr string) (ranges []SlotRange, err error) {
	//lint:ignore SA1019 its successor, CLUSTER SHARDS, is missing in Redis 6
	slots, err := client.ClusterSlots(ctx).Result()
	for _, s := range slots {
		if len(s.Nodes) > 0 { // the first is the primary
			ranges = append(ranges, SlotRange{s.Start, s.End, completeAddr(s.Nodes[0].Addr, addr)})
		}
	}
	return ranges, err
}

// completeAddr completes an address that the node at source reported: one without a host has
// the host of that node.
func completeAddr(addr, source string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "" {
		if host, _, err = net.SplitHostPort(source); err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return addr
}

// mergeSlotMaps assigns each slot to the node that most maps name. The current owner wins
// a tie.
func mergeSlotMaps(maps [][]SlotRange, current *SlotMap) (merged []SlotRange) {
	same := true
	for _, ranges := range maps {
		slices.SortFunc(ranges, func(a, b SlotRange) int { return cmp.Compare(a.First, b.First) })
		same = same && slices.Equal(ranges, maps[0])
	}
	if same {
		return maps[0] // nearly always
	}
	votes := map[string]int{}
	for slot := range slotCount {
		clear(votes)
		for _, ranges := range maps {
			votes[ownerIn(ranges, slot)] += 2
		}
		if n := current.owners[slot]; n != nil && votes[n.Addr] > 0 {
			votes[n.Addr]++
		}
		best := ""
		for addr, n := range votes {
			if n > votes[best] || n == votes[best] && addr > best {
				best = addr
			}
		}
		if best != "" {
			merged = append(merged, SlotRange{slot, slot, best})
		}
	}
	return merged
}

// ownerIn returns the address of the node that holds slot in sorted ranges, or "".
func ownerIn(ranges []SlotRange, slot int) string {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Last >= slot })
	if i < len(ranges) && ranges[i].First <= slot {
		return ranges[i].Addr
	}
	return ""
}
