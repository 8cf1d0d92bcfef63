package main

import (
	"log/slog"
	"syscall"
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
	current := uint64(limit.Cur) // FreeBSD has a signed one
	fit, ok := viewersWithin(most, current)
	if current < unlimitedFiles {
		files = int(current)
	}
	if !ok {
		log.Warn("this process may not open enough files for --max-viewers; raise the limit (ulimit -n, LimitNOFILE=, --ulimit nofile=) or lower --max-viewers",
			"files", current, "max-viewers", most, "holding", fit)
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
