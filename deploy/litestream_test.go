//go:build hosting

package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// These tests run the container's processes, without a container, against an S3 server.

const (
	// syncInterval is entrypoint's default, within which acknowledged likes reach the replica.
	syncInterval = time.Second
	// uploadAllowance is the additional time of an upload on a busy machine.
	uploadAllowance = 2 * time.Second
	// leaseDuration is short because the tests wait for its end.
	leaseDuration = 2 * time.Second
)

// hostingTools returns the directory of Litestream, the S3 server and entrypoint.
func hostingTools(t *testing.T) string {
	t.Helper()
	dir := absolute(t, "../.ci/bin/hosting")
	for _, tool := range []string{"litestream", "gofakes3", "entrypoint"} {
		if _, err := os.Stat(filepath.Join(dir, tool)); err != nil {
			t.Fatalf("this test needs %s: make hosting-tools builds it (%v)", tool, err)
		}
	}
	return dir
}

// startBucket starts an S3 server with a bucket and returns the URL of a replica in it.
func startBucket(t *testing.T) (replica string) {
	t.Helper()
	address := processtest.FreeAddress(t)
	processtest.Start(t, filepath.Join(hostingTools(t), "gofakes3"), nil, "-backend", "memory", "-host", address, "-initialbucket", "counts", "-quiet")
	processtest.Eventually(t, "the S3 server", func() bool {
		status, _ := processtest.Get("http://" + address + "/counts")
		return status == http.StatusOK
	})
	return "s3://counts/blog?endpoint=http://" + address + "&region=auto&force-path-style=true"
}

// container is the processes of a container: entrypoint, Litestream and tallycast serve.
type container struct {
	*processtest.Instance
	t *testing.T
}

// startContainer starts a container with its own disk, which serves at address.
func startContainer(t *testing.T, replica, disk, address string, flags ...string) *container {
	t.Helper()
	tools := hostingTools(t)
	env := []string{
		"PATH=" + tools + ":" + os.Getenv("PATH"),
		"TALLYCAST_STORE=sqlite:" + filepath.Join(disk, "tallycast.db"),
		"LITESTREAM_REPLICA_URL=" + replica,
		"LITESTREAM_ACCESS_KEY_ID=key", "LITESTREAM_SECRET_ACCESS_KEY=secret",
	}
	args := append([]string{"-config", absolute(t, "litestream/litestream.yml"), "-lease", leaseDuration.String()}, flags...)
	args = append(args, binary, "serve", "--listen", address, "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--trusted-proxy", "127.0.0.1")
	c := &container{&processtest.Instance{Process: processtest.Start(t, filepath.Join(tools, "entrypoint"), env, args...)}, t}
	t.Cleanup(c.kill)
	return c
}

// awaitReady waits until the container serves.
func (c *container) awaitReady() {
	c.t.Helper()
	c.URL, c.Internal = processtest.AwaitServing(c.t, c.Log, func() bool {
		if c.HasEnded() {
			c.t.Fatalf("the container exited with %d:\n%s", c.Command.ProcessState.ExitCode(), c.Log)
		}
		return false
	})
	c.AwaitReady()
}

// signalGroup sends a signal to Litestream and tallycast.
func (c *container) signalGroup(signal syscall.Signal) {
	if started := c.Log.Record("entrypoint: started"); started != nil && !c.HasEnded() {
		_ = syscall.Kill(-int(started["group"].(float64)), signal)
	}
}

// kill ends all processes, as if the machine were lost.
func (c *container) kill() {
	c.signalGroup(syscall.SIGKILL)
	c.Kill()
}

// acknowledgements are the times at which likes were acknowledged, by visitor.
type acknowledgements struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (a *acknowledgements) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

// likeUntil sends likes for topic to url, each of another visitor, until ctx ends. Errors
// are no acknowledgements.
func likeUntil(ctx context.Context, t *testing.T, url, topic string, round int) *acknowledgements {
	a := &acknowledgements{at: map[string]time.Time{}}
	var liking sync.WaitGroup
	for worker := range 2 {
		liking.Go(func() { // ends with ctx
			for n := 0; ctx.Err() == nil; n++ {
				visitor := fmt.Sprintf("visitor-%d-%d-%d", round, worker, n)
				address := fmt.Sprintf("10.%d.%d.%d", worker, n/256, n%256) // limits are per address
				if status, _, err := tryLike(ctx, client, url, topic, visitor, "X-Forwarded-For", address); err == nil && status == http.StatusOK {
					a.mu.Lock()
					a.at[visitor] = time.Now()
					a.mu.Unlock()
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	t.Cleanup(liking.Wait)
	return a
}

// missing returns the ages, at the time at, of the likes that c lacks.
func (a *acknowledgements) missing(c *container, topic string, at time.Time) (ages []time.Duration) {
	c.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for visitor, acknowledged := range a.at {
		// The like counts once if the visitor's like and the secret of the hash are there.
		if !c.has(topic, visitor) {
			ages = append(ages, at.Sub(acknowledged))
		}
	}
	return ages
}

// has reports whether c has the like of a visitor.
func (c *container) has(topic, visitor string) bool {
	c.t.Helper()
	return c.read(topic, visitor).Mine == 1
}

type readState struct {
	Count   int
	Version int64
	Mine    int
}

func (c *container) read(topic, visitor string) (state readState) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), "GET", c.URL+"/v1/"+topic, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Tally-Visitor", visitor)
	response, err := client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&state); err != nil {
		c.t.Fatalf("%s: %v", response.Status, err)
	}
	return state
}

// A container is killed under load and its disk is lost. The next one has every like that was
// acknowledged before the last sync interval, and so has the one after it. Open pages show the
// restored counts, under versions that only grow.
func TestLitestream_DiskLost(t *testing.T) {
	t.Parallel()
	replica, address := startBucket(t), processtest.FreeAddress(t)
	const topic, untouched = "default/likes/post", "default/likes/old-post"
	c := startContainer(t, replica, t.TempDir(), address)
	c.awaitReady()
	if status, _ := like(t, client, c.URL, untouched, "visitor-early"); status != http.StatusOK {
		t.Fatalf("a like: %d", status)
	}
	was := c.read(untouched, "visitor-early")
	pages := []*page{
		openReconnecting(t, "stream", client, c.URL, topic), openReconnecting(t, "socket", client, c.URL, topic),
		openReconnecting(t, "stream", client, c.URL, untouched), openReconnecting(t, "socket", client, c.URL, untouched),
	}
	all, lost, longest := 0, 0, time.Duration(0)
	for round := range 2 {
		ctx, stop := context.WithCancel(t.Context())
		likes := likeUntil(ctx, t, c.URL, topic, round)
		time.Sleep(syncInterval + uploadAllowance + 2*time.Second) // real time: the interval is what is tested
		c.kill()
		killed := time.Now()
		stop()

		c = startContainer(t, replica, t.TempDir(), address)
		c.awaitReady()
		t.Logf("round %d: ready %s after the kill", round, time.Since(killed).Round(time.Millisecond))
		for _, age := range likes.missing(c, topic, killed) {
			lost, longest = lost+1, max(longest, age)
		}
		all += likes.count()
		if stored := c.read(topic, "visitor-late").Count; stored != all-lost {
			t.Errorf("round %d: %d likes are stored, of %d acknowledged %d are lost", round, stored, all, lost)
		}
	}
	t.Logf("%d of %d acknowledged likes are lost, the oldest %s before the kill", lost, all, longest.Round(time.Millisecond))
	if longest > syncInterval+uploadAllowance {
		t.Errorf("a like was lost %s after it was acknowledged", longest)
	}
	if all < 300 || lost == all {
		t.Errorf("%d likes, %d lost", all, lost)
	}
	stored := c.read(topic, "visitor-late").Count
	if now := c.read(untouched, "visitor-early"); now.Count != 1 || now.Mine != 1 || now.Version <= was.Version {
		t.Errorf("the other topic is %+v, and was %+v", now, was)
	}
	for i, want := range []int{stored, stored, 1, 1} {
		processtest.Eventually(t, "the restored count on a page", func() bool {
			frames, disconnects, _ := pages[i].state()
			return disconnects >= 2 && frames[len(frames)-1].text == live && pages[i].count(frames) == want
		})
	}
	if status, count := like(t, client, c.URL, topic, "visitor-late"); status != http.StatusOK || count != stored+1 {
		t.Errorf("a like after the restore: %d, %d", status, count)
	}
	for _, p := range pages[:2] {
		p.awaitCount(t, stored+1)
	}
	for _, p := range pages {
		p.checkVersions(t)
	}
}

// A platform starts the new container before it ends the old one. The new one waits, the old
// one is the only one that acknowledges likes, and none of them is lost.
func TestLitestream_OverlappingContainers(t *testing.T) {
	t.Parallel()
	replica := startBucket(t)
	const topic = "default/likes/post"
	old := startContainer(t, replica, t.TempDir(), processtest.FreeAddress(t))
	old.awaitReady()
	ctx, stop := context.WithCancel(t.Context())
	likes := likeUntil(ctx, t, old.URL, topic, 0)

	refused := startContainer(t, replica, t.TempDir(), processtest.FreeAddress(t), "-wait", (2 * leaseDuration).String())
	if code := refused.ExitCode(); code != 1 || !strings.Contains(refused.Log.String(), "another container writes to this replica") || refused.Log.Record("serving") != nil {
		t.Errorf("a second container exited with %d:\n%s", code, refused.Log)
	}

	next := startContainer(t, replica, t.TempDir(), processtest.FreeAddress(t))
	processtest.Eventually(t, "the next container waits", func() bool {
		return next.Log.Record("entrypoint: waiting for the container that writes to this replica") != nil
	})
	old.Terminate()
	if code := old.ExitCode(); code != 0 {
		t.Errorf("the old container exited with %d", code)
	}
	ended := time.Now()
	stop()
	next.awaitReady()
	t.Logf("the next container is ready %s after the end of the old one", time.Since(ended).Round(time.Millisecond))
	if missing := likes.missing(next, topic, ended); len(missing) > 0 || likes.count() < 50 {
		t.Errorf("%d of %d likes are lost: %v", len(missing), likes.count(), missing)
	}
}

// A frozen container loses the lease. When it continues, it acknowledges nothing and ends.
// Its disk, which is older than the replica then, is not used again.
func TestLitestream_FrozenContainer(t *testing.T) {
	t.Parallel()
	replica, disk, address := startBucket(t), t.TempDir(), processtest.FreeAddress(t)
	const topic = "default/likes/post"
	frozen := startContainer(t, replica, disk, address)
	frozen.awaitReady()
	if status, _ := like(t, client, frozen.URL, topic, "visitor-early"); status != http.StatusOK {
		t.Fatalf("a like: %d", status)
	}
	time.Sleep(syncInterval + uploadAllowance)
	frozen.signalGroup(syscall.SIGSTOP)
	frozen.Signal(syscall.SIGSTOP)
	next := startContainer(t, replica, t.TempDir(), processtest.FreeAddress(t))
	next.awaitReady()
	if status, count := like(t, client, next.URL, topic, "visitor-next"); status != http.StatusOK || count != 2 {
		t.Errorf("a like on the next container: %d, %d", status, count)
	}
	// These wait in the socket until the frozen container continues. Its entrypoint, which
	// ends it, is the last process that continues.
	var waiting sync.WaitGroup
	for n := range 20 {
		waiting.Go(func() {
			status, _, err := tryLike(t.Context(), client, frozen.URL, topic, fmt.Sprintf("visitor-waiting-%d", n))
			if err != nil || status != http.StatusServiceUnavailable {
				t.Errorf("the frozen container answered %d, %v while another one had the lease", status, err)
			}
		})
	}
	frozen.signalGroup(syscall.SIGCONT)
	waiting.Wait()
	frozen.Signal(syscall.SIGCONT)
	if code := frozen.ExitCode(); code != 1 {
		t.Errorf("the frozen container exited with %d", code)
	}
	next.Terminate()
	next.ExitCode()
	again := startContainer(t, replica, disk, address)
	again.awaitReady()
	for _, visitor := range []string{"visitor-early", "visitor-next"} {
		if !again.has(topic, visitor) {
			t.Errorf("the like of %s is lost", visitor)
		}
	}
}

// A container that was killed and keeps its disk has every acknowledged like.
func TestLitestream_DiskKept(t *testing.T) {
	t.Parallel()
	replica, disk, address := startBucket(t), t.TempDir(), processtest.FreeAddress(t)
	const topic = "default/likes/post"
	c := startContainer(t, replica, disk, address)
	c.awaitReady()
	ctx, stop := context.WithCancel(t.Context())
	likes := likeUntil(ctx, t, c.URL, topic, 0)
	processtest.Eventually(t, "likes", func() bool { return likes.count() > 50 })
	c.kill()
	stop()
	c = startContainer(t, replica, disk, address)
	c.awaitReady()
	if missing := likes.missing(c, topic, time.Now()); len(missing) > 0 {
		t.Errorf("%d of %d likes are lost", len(missing), likes.count())
	}
}
