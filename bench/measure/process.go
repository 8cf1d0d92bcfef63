// Package measure reads the CPU time and resident memory of processes and their children
// from /proc.
package measure

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc/PID/stat: the kernel's USER_HZ, 100 on every
// system that Go supports (proc(5)). The kernel counts nanoseconds and rounds when it is
// read, so the error is one tick a reading.
const tick = 10 * time.Millisecond

// Usage is the usage of processes since they started.
type Usage struct {
	CPU time.Duration // user and system time
	RSS int64         // resident bytes, shared pages counted in each process
	PSS int64         // resident bytes, shared pages divided among their users
}

// Processes are process ids. Usage includes their children.
type Processes []int

// Usage reads the usage of the processes and their children. CPU time includes children
// that ended and were waited for.
func (p Processes) Usage() (sum Usage, err error) {
	pids, err := p.withChildren()
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		u, err := usage(pid)
		if err != nil {
			return sum, err
		}
		sum.CPU += u.CPU
		sum.RSS += u.RSS
		sum.PSS += u.PSS
	}
	return sum, nil
}

// CPU reads only the CPU time, which is cheaper.
func (p Processes) CPU() (sum time.Duration, err error) {
	pids, err := p.withChildren()
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		t, err := cpu(pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// withChildren returns the processes and all their descendants, including children of
// their threads.
func (p Processes) withChildren() (all []int, err error) {
	for todo := append([]int(nil), p...); len(todo) > 0; todo = todo[1:] {
		pid := todo[0]
		all = append(all, pid)
		lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		if err != nil {
			return nil, err
		}
		if len(lists) == 0 {
			return nil, fmt.Errorf("process %d has ended", pid)
		}
		for _, list := range lists {
			data, err := os.ReadFile(list)
			if errors.Is(err, os.ErrNotExist) {
				continue // the thread has ended
			} else if err != nil {
				return nil, err
			}
			for _, field := range strings.Fields(string(data)) {
				child, err := strconv.Atoi(field)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", list, err)
				}
				todo = append(todo, child)
			}
		}
	}
	return all, nil
}

func usage(pid int) (u Usage, err error) {
	if u.CPU, err = cpu(pid); err != nil {
		return u, err
	}
	path := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return u, err
	}
	u.RSS, u.PSS, err = parseRollup(data)
	if err != nil {
		return u, fmt.Errorf("%s: %w", path, err)
	}
	return u, nil
}

func cpu(pid int) (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	t, err := parseStat(data)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// parseStat returns the sum of utime, stime, cutime and cstime of /proc/PID/stat.
// The process's name may hold spaces and parentheses.
func parseStat(data []byte) (time.Duration, error) {
	at := bytes.LastIndexByte(data, ')')
	if at < 0 {
		return 0, fmt.Errorf("no name in %q", data)
	}
	// The text after the name begins with field 3; utime is field 14.
	fields := strings.Fields(string(data[at+1:]))
	const utime, cstime = 14 - 3, 17 - 3
	if len(fields) <= cstime {
		return 0, fmt.Errorf("too few fields in %q", data)
	}
	var sum int64
	for _, field := range fields[utime : cstime+1] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}

// parseRollup returns Rss and Pss of /proc/PID/smaps_rollup, in bytes.
func parseRollup(data []byte) (rss, pss int64, err error) {
	seen := 0
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "Rss" && name != "Pss" {
			continue
		}
		fields := strings.Fields(value)
		if len(fields) != 2 || fields[1] != "kB" {
			return 0, 0, fmt.Errorf("%q is not a size", line)
		}
		kb, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return 0, 0, err
		}
		if seen++; name == "Rss" {
			rss = kb << 10
		} else {
			pss = kb << 10
		}
	}
	if seen != 2 {
		return 0, 0, errors.New("Rss or Pss is missing")
	}
	return rss, pss, nil
}
