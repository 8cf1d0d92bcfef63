package server

import (
	"log/slog"
	"syscall"
)

// spareFiles is the number of files that are reserved for the store, requests and listeners.
const spareFiles = 512

// fitViewers raises the limit of open files as far as the process may. It returns the number of viewers
// for which there are files, at most most, and the limit, 0 for none. An instance without free files
// could not accept a connection to refuse it.
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
	current := uint64(limit.Cur) // it is signed on FreeBSD
	fit, ok := viewersWithin(most, current)
	if current < unlimitedFiles {
		files = int(current)
	}
	if !ok {
		log.Warn("the limit of open files is too low for --max-viewers; raise it (ulimit -n, LimitNOFILE=, --ulimit nofile=) or lower --max-viewers",
			"files", current, "max-viewers", most, "holding", fit)
	}
	return fit, files
}

// unlimitedFiles is greater than any real limit; RLIM_INFINITY differs between systems.
const unlimitedFiles = 1 << 40

// viewersWithin returns for how many of most viewers there are files, and whether there are enough;
// most is 0 for no limit.
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
