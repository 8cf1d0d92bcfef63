package main

import (
	"log/slog"
	"net/netip"
	"slices"

	"github.com/tallycast/tallycast/internal/connlimit"
)

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
