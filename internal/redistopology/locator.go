package redistopology

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
	"time"

	"github.com/redis/go-redis/v9"
)

// locator asks for the slot map.
//
// go-redis has clients for Sentinel and Cluster, but they hide the node that a command
// goes to. Here each node has a clock, WAIT counts for the connection that wrote, a hung
// node must not delay the others, and a publication is expected back from its own node.
type locator interface {
	// locate returns the slot map. The current one decides between equally many answers.
	locate(ctx context.Context, current *SlotMap) ([]SlotRange, error)
	close()
}

const (
	// locateTimeout is how long one Sentinel or node may take to answer.
	locateTimeout = time.Second
	// maxAskedNodes bounds how many nodes of a Cluster are asked at once.
	maxAskedNodes = 7
)

// sentinels asks Sentinels for the primary.
type sentinels struct {
	topology *Topology

	mu      sync.Mutex
	clients map[string]sentinelClient // guarded by mu, by address
}

// sentinelClient is a client and the index of the credentials that it uses, of
// [storeURL.sentinelLogins].
type sentinelClient struct {
	*redis.SentinelClient
	login int
}

// locate returns the primary that most Sentinels name: one that was cut off may name a
// former primary.
func (l *sentinels) locate(ctx context.Context, current *SlotMap) ([]SlotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	answers := askAll(l.topology.url.addrs, func(addr string) (string, error) { return l.ask(ctx, addr) })
	votes := map[string]int{}
	var errs []error
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, fmt.Errorf("the Sentinel at %s: %w", a.addr, a.err))
			continue
		}
		votes[a.value] += 2
		if current.single != nil && current.single.Addr == a.value {
			votes[a.value]++ // the current primary wins a tie
		}
	}
	best := ""
	for addr, n := range votes {
		if best == "" || n > votes[best] || n == votes[best] && addr < best {
			best = addr
		}
	}
	if best == "" {
		return nil, errors.Join(errs...)
	}
	return allSlots(best), nil
}

// ask asks the Sentinel at addr with the credentials that it accepted last, and then with
// the others.
func (l *sentinels) ask(ctx context.Context, addr string) (string, error) {
	logins := l.topology.url.sentinelLogins()
	var refused []string
	for {
		client := l.client(addr, logins)
		primary, err := client.GetMasterAddrByName(ctx, l.topology.url.primary).Result()
		switch {
		case errors.Is(err, redis.Nil):
			return "", fmt.Errorf("it monitors no primary named %q", l.topology.url.primary)
		case refusesCredentials(err):
			l.useNextLogin(addr, client, len(logins))
			if refused = append(refused, logins[client.login].String()); len(refused) == len(logins) {
				return "", fmt.Errorf("it refuses %s: %w (for Sentinels with a password of their own, add ?sentinel_password=… to the URL of the store, and &sentinel_user=… if the user is not \"default\")",
					strings.Join(refused, ", and "), err)
			}
			continue
		case err != nil:
			return "", err
		case len(primary) != 2:
			return "", fmt.Errorf("unexpected answer %q", primary)
		}
		return net.JoinHostPort(primary[0], primary[1]), nil
	}
}

func refusesCredentials(err error) bool {
	return redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

// client returns the client for the Sentinel at addr.
func (l *sentinels) client(addr string, logins []credentials) sentinelClient {
	l.mu.Lock()
	defer l.mu.Unlock()
	client := l.clients[addr]
	if client.SentinelClient == nil {
		client.SentinelClient = l.topology.newSentinelClient(addr, logins[client.login])
		l.clients[addr] = client
	}
	return client
}

// useNextLogin closes a client, so that the next one uses the next credentials.
func (l *sentinels) useNextLogin(addr string, client sentinelClient, logins int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[addr] == client {
		l.clients[addr] = sentinelClient{login: (client.login + 1) % logins}
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

// clusterNodes asks nodes of a Cluster for the slot map.
type clusterNodes struct {
	topology *Topology

	mu      sync.Mutex
	clients map[string]*redis.Client // guarded by mu, by address
}

// locate assigns each slot to the node that most answers name: a node that was cut off
// still believes that it is a primary.
func (l *clusterNodes) locate(ctx context.Context, current *SlotMap) ([]SlotRange, error) {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	answers := askAll(l.nodesToAsk(current), func(addr string) ([]SlotRange, error) { return l.ask(ctx, addr) })
	var errs []error
	var maps [][]SlotRange
	for _, a := range answers {
		if a.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a.addr, a.err))
			continue
		}
		maps = append(maps, a.value)
	}
	if len(maps) == 0 {
		return nil, fmt.Errorf("no node of the Cluster answers CLUSTER SLOTS: %w", errors.Join(errs...))
	}
	return mergeSlotMaps(maps, current), nil
}

// nodesToAsk returns the addresses to ask, of the URL and of nodes that hold slots, and
// closes the clients of others.
func (l *clusterNodes) nodesToAsk(current *SlotMap) []string {
	addrs := slices.Clone(l.topology.url.addrs)
	for _, n := range current.nodes {
		if !slices.Contains(addrs, n.Addr) {
			addrs = append(addrs, n.Addr)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for addr, client := range l.clients {
		if !slices.Contains(addrs, addr) {
			_ = client.Close()
			delete(l.clients, addr)
		}
	}
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:min(len(addrs), maxAskedNodes)]
}

func (l *clusterNodes) ask(ctx context.Context, addr string) ([]SlotRange, error) {
	l.mu.Lock()
	client := l.clients[addr]
	if client == nil {
		client = l.topology.newLocatorClient(addr)
		l.clients[addr] = client
	}
	l.mu.Unlock()
	// Its successor, CLUSTER SHARDS, is missing in Redis 6.
	command := redis.NewClusterSlotsCmd(ctx, "cluster", "slots")
	if err := client.Process(ctx, command); err != nil {
		return nil, err
	}
	var ranges []SlotRange
	for _, s := range command.Val() {
		if len(s.Nodes) > 0 { // the first is the primary
			ranges = append(ranges, SlotRange{s.Start, s.End, completeAddr(s.Nodes[0].Addr, addr)})
		}
	}
	return ranges, nil
}

// completeAddr returns an address that the node at source named. Without a host it means
// the host of that node.
func completeAddr(addr, source string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil && host == "" {
		if host, _, err = net.SplitHostPort(source); err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return addr
}

func (l *clusterNodes) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, client := range l.clients {
		_ = client.Close()
	}
}

// mergeSlotMaps assigns each slot to the node that most maps name. The current owner wins
// a tie.
func mergeSlotMaps(maps [][]SlotRange, current *SlotMap) []SlotRange {
	same := true
	for _, ranges := range maps {
		slices.SortFunc(ranges, func(a, b SlotRange) int { return cmp.Compare(a.First, b.First) })
		same = same && slices.Equal(ranges, maps[0])
	}
	if same {
		return maps[0] // nearly always
	}
	bySlot := make([][]string, len(maps))
	for i, ranges := range maps {
		bySlot[i] = make([]string, slotCount)
		for _, r := range ranges {
			for slot := max(r.First, 0); slot <= min(r.Last, slotCount-1); slot++ {
				bySlot[i][slot] = r.Addr
			}
		}
	}
	var merged []SlotRange
	for slot := range slotCount {
		owner := ""
		if n := current.owner(slot); n != nil {
			owner = n.Addr
		}
		best, votes := "", 0
		for i := range bySlot {
			addr := bySlot[i][slot]
			n := 0
			for j := range bySlot {
				if bySlot[j][slot] == addr {
					n++
				}
			}
			if n > votes || n == votes && addr == owner {
				best, votes = addr, n
			}
		}
		if best == "" {
			continue
		}
		if last := len(merged) - 1; last >= 0 && merged[last].Addr == best && merged[last].Last == slot-1 {
			merged[last].Last = slot
		} else {
			merged = append(merged, SlotRange{slot, slot, best})
		}
	}
	return merged
}

// answer is the answer of the Sentinel or node at addr.
type answer[T any] struct {
	addr  string
	value T
	err   error
}

// askAll calls ask for all addresses at the same time.
func askAll[T any](addrs []string, ask func(addr string) (T, error)) []answer[T] {
	answers := make([]answer[T], len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { // ends within locateTimeout
			value, err := ask(addr)
			answers[i] = answer[T]{addr, value, err}
		})
	}
	all.Wait()
	return answers
}
