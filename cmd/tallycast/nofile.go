package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"syscall"

	"github.com/tallycast/tallycast/internal/api"
	"github.com/tallycast/tallycast/internal/connlimit"
)

// spareFiles are kept for what is no viewer: the store, requests, listeners.
const spareFiles = 512

// fitViewers raises the limit of open files as far as this process may. It returns how
// many viewers then fit, which is most or as many as find a file each, and the limit, 0
// for none. An instance that is full says so to its clients; one without files can say
// nothing.
func fitViewers(most int, log *slog.Logger) (fit, files int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of open files is unknown", "error", err)
		return most, 0
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	fit, ok := viewersWithin(most, limit.Cur)
	if limit.Cur < unlimitedFiles {
		files = int(limit.Cur)
	}
	if !ok {
		log.Warn("this process may not open enough files for --max-viewers; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=) or lower --max-viewers",
			"files", limit.Cur, "max-viewers", most, "holding", fit)
	}
	return fit, files
}

// unlimitedFiles is above every limit that is one; RLIM_INFINITY differs between systems.
const unlimitedFiles = 1 << 40

// viewersWithin returns how many of most viewers, 0 being any number, fit into
// so many files, and whether all do.
func viewersWithin(most int, files uint64) (fit int, ok bool) {
	if files >= unlimitedFiles {
		return most, true
	}
	room := int(files) - spareFiles
	if room < 1 {
		room = int(files)/2 + 1
	}
	if most == 0 || most > room {
		return room, most == 0
	}
	return most, true
}

// minConnectionsPerAddress is how many connections that hold no viewer one client
// address may have at least: browsers open six each, and many people share an address.
const minConnectionsPerAddress = 256

// limitConnections returns the limits of the public listener's connections. An address
// may have as many that hold no viewer as viewers, or the minimum.
func limitConnections(c config, log *slog.Logger) *connlimit.Limiter {
	most := 0
	if c.maxViewersPerAddress > 0 {
		most = max(c.maxViewersPerAddress, minConnectionsPerAddress)
	}
	return connlimit.New(connlimit.Options{
		PerAddress:    most,
		Holder:        api.HolderAddress,
		IsExempt:      func(peer netip.Addr) bool { return contains(c.trustedProxies, peer) },
		Files:         c.files,
		HeaderTimeout: headerWithin,
		Log:           log,
	})
}

func contains(ranges []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(each netip.Prefix) bool { return each.Contains(address) })
}

// topicsPerAddress returns how many topics the viewers of one client address may watch
// together: a twentieth of all, which by default is 250 for each of the 200 connections
// that it may have. Where that is less than one connection may watch it is as many, but
// never more than half of all. 0 means any number.
func topicsPerAddress(c config) int {
	const oneConnection = 1000
	if c.maxViewersPerAddress == 0 || c.maxWatchedTopics == 0 {
		return 0
	}
	return max(c.maxWatchedTopics/20, min(oneConnection, c.maxWatchedTopics/2), 1)
}
