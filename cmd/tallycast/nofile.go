package main

import (
	"log/slog"
	"syscall"
)

// spareFiles are kept for what is no viewer: the store, requests, listeners.
const spareFiles = 512

// fitViewers raises the limit of open files as far as this process may, and
// returns how many viewers then fit: most, or fewer where each viewer's
// connection would not find a file. An instance that is full says so to whoever
// comes; one without files can say nothing.
func fitViewers(most int, log *slog.Logger) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		log.Warn("the limit of open files is unknown", "error", err)
		return most
	}
	if limit.Cur < limit.Max {
		raised := limit
		raised.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	files := uint64(limit.Cur) // FreeBSD has a signed one
	fit, ok := viewersWithin(most, files)
	if !ok {
		log.Warn("this process may not open enough files for --max-viewers; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=) or lower --max-viewers",
			"files", files, "max-viewers", most, "holding", fit)
	}
	return fit
}

// viewersWithin returns how many of most viewers, 0 being any number, fit into
// so many files, and whether all do.
func viewersWithin(most int, files uint64) (fit int, ok bool) {
	const unlimited = 1 << 40 // RLIM_INFINITY differs between systems
	if files >= unlimited {
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
