package server

import (
	"log/slog"
	"net/netip"
	"slices"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/connlimit"
)

// minConnectionsPerAddress is the least limit of an address's connections without a
// viewer: browsers open six each, and many people share an address.
const minConnectionsPerAddress = 256

// limitConnections returns the limiter of the public listener. An address may have as many connections
// without a viewer as viewers, and at least minConnectionsPerAddress.
func limitConnections(c config.Config, files int, log *slog.Logger) *connlimit.Limiter {
	most := 0
	if c.MaxViewersPerAddress > 0 {
		most = max(c.MaxViewersPerAddress, minConnectionsPerAddress)
	}
	return connlimit.New(connlimit.Options{
		PerAddress:    most,
		IsExempt:      func(peer netip.Addr) bool { return contains(c.TrustedProxies, peer) },
		Files:         files,
		HeaderTimeout: headerTimeout,
		Log:           log,
	})
}

func contains(ranges []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(each netip.Prefix) bool { return each.Contains(address) })
}

// topicsPerAddress returns how many topics the viewers of one client address may watch
// together: a twentieth of all, which by default is 250 for each of its 200 viewers. It is
// at least what one connection may watch, but at most half of all. 0 means no limit.
func topicsPerAddress(c config.Config) int {
	const oneConnection = 1000
	if c.MaxViewersPerAddress == 0 || c.MaxWatchedTopics == 0 {
		return 0
	}
	return max(c.MaxWatchedTopics/20, min(oneConnection, c.MaxWatchedTopics/2), 1)
}
