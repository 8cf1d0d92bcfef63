package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A preloaded library sets the clock of a server: it adds the seconds in a file to the
// kernel's time. Redis reads its clock several times for each command, also in scripts, so the
// library maps the file into memory and makes no system call.
const (
	clockVariable = "TALLYCAST_TEST_CLOCK" // the file's path
	clockFile     = "clock"                // holds seconds: an int64 in the machine's byte order
	clockBytes    = 8
)

const clockSource = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t zero, *ahead = &zero;
static int (*machine)(clockid_t, struct timespec *); /* set before main */

__attribute__((constructor)) static void set(void) {
	const char *path = getenv("` + clockVariable + `");
	int file = path ? open(path, O_RDONLY) : -1;
	void *mapped = mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
	if (mapped == MAP_FAILED) abort();
	ahead = mapped;
	machine = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}
int clock_gettime(clockid_t id, struct timespec *ts) {
	int failed = machine ? machine(id, ts) : syscall(SYS_clock_gettime, id, ts);
	if (!failed && id == CLOCK_REALTIME) ts->tv_sec += *ahead;
	return failed;
}
int gettimeofday(struct timeval *tv, void *zone) {
	struct timespec ts;
	(void)zone;
	int failed = clock_gettime(CLOCK_REALTIME, &ts);
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return failed;
}
time_t time(time_t *at) {
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (at) *at = ts.tv_sec;
	return ts.tv_sec;
}
`

// clockLibrary compiles the preloaded library once.
var clockLibrary = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "tallycast-clock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, []byte(clockSource), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("setting the clock needs a C compiler, apt-get install gcc libc6-dev: %w\n%s", err, out)
	}
	return os.ReadFile(library)
})

// mapClock creates the file of the clock, which the server maps, too.
func (s *Server) mapClock() {
	s.t.Helper()
	file, err := os.Create(filepath.Join(s.Dir, clockFile))
	if err == nil {
		defer file.Close()
		err = file.Truncate(clockBytes)
	}
	if err == nil {
		s.clock, err = syscall.Mmap(int(file.Fd()), 0, clockBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = syscall.Munmap(s.clock) })
}

// SetClock sets the server's clock ahead of the machine's, in whole seconds. The server must
// be started with [Options.Clock].
func (s *Server) SetClock(ahead time.Duration) {
	atomic.StoreInt64((*int64)(unsafe.Pointer(&s.clock[0])), int64(ahead/time.Second)) // mapped memory is aligned
}

// clockEnvironment returns the variables that preload the library.
func (s *Server) clockEnvironment() []string {
	s.t.Helper()
	library, err := clockLibrary()
	path := filepath.Join(s.Dir, "clock.so")
	if err == nil {
		err = os.WriteFile(path, library, 0o700)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{"LD_PRELOAD=" + path, clockVariable + "=" + filepath.Join(s.Dir, clockFile)}
}
