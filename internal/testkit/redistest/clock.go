package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// A preloaded library sets the clock of a server: it adds the seconds in a file to the
// kernel's time.
const (
	clockVariable = "TALLYCAST_TEST_CLOCK" // the file's path
	clockFile     = "clock"                // holds seconds
)

const clockSource = `#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void) {
	char text[32] = {0};
	const char *path = getenv("` + clockVariable + `");
	int file = path ? open(path, O_RDONLY) : -1;
	if (file < 0) return 0;
	if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
	close(file);
	return atol(text);
}
int clock_gettime(clockid_t id, struct timespec *ts) {
	int failed = syscall(SYS_clock_gettime, id, ts);
	if (!failed && id == CLOCK_REALTIME) ts->tv_sec += ahead();
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
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O1", "-o", library, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("setting the clock needs a C compiler, apt-get install gcc libc6-dev: %w\n%s", err, out)
	}
	return os.ReadFile(library)
})

// SetClock sets the server's clock ahead of the machine's, in whole seconds. The server must
// be started with [Options.Clock].
func (s *Server) SetClock(ahead time.Duration) {
	s.t.Helper()
	// Renamed into place, so that the server reads a complete file.
	path := filepath.Join(s.Dir, clockFile)
	if err := os.WriteFile(path+".new", fmt.Appendln(nil, int64(ahead/time.Second)), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
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
