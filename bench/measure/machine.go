package measure

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes this machine in one line.
func Machine() string {
	var name unix.Utsname
	kernel := "unknown kernel"
	if unix.Uname(&name) == nil {
		kernel = unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:])
	}
	return fmt.Sprintf("%d cores of %s, %s of memory, %s, %s",
		runtime.NumCPU(), field("/proc/cpuinfo", "model name"), memory(), kernel, runtime.Version())
}

// Load describes other work on this machine: the load average of the last minute, and whether this
// process and those that it starts have priority over it.
func Load() string {
	average := "unknown load"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		minute, _, _ := strings.Cut(string(data), " ")
		average = "load " + minute + " before"
	}
	attributes, err := unix.SchedGetAttr(0, 0)
	switch {
	case err != nil:
	case attributes.Policy == unix.SCHED_FIFO || attributes.Policy == unix.SCHED_RR:
		return average + ", with real-time priority"
	case attributes.Nice < 0:
		return fmt.Sprintf("%s, at nice %d", average, attributes.Nice)
	}
	return average
}

func memory() string {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return "unknown amount"
	}
	return fmt.Sprintf("%.0f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30))
}

// field returns the value of the first line of path that begins with name.
func field(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown make"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown make"
}
