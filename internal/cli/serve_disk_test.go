package cli

import (
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// On a full disk likes are answered 503. Open and new pages still work and are not stale,
// because they show what is stored. A limit of the file size simulates the full disk.
func TestServe_FullDisk(t *testing.T) {
	t.Parallel()
	store := sqlite(t)
	i := launch(t, "--store", store, "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off", "--new-topic-limit", "off")
	limit := func(size string) {
		t.Helper()
		pid := strconv.Itoa(i.Command.Process.Pid)
		if out, err := exec.Command("prlimit", "--pid", pid, "--fsize="+size+":unlimited").CombinedOutput(); err != nil {
			t.Fatalf("prlimit (apt-get install util-linux): %v: %s", err, out)
		}
	}
	page := i.URL + "/v1/default/likes/page"
	send(t, "POST", page, "visitor-1")
	open := watch(t, i.URL+"/v1/stream?topic=default/likes/page")
	open.await(t, `{"event":"live"}`)

	limit("1024")
	if a := send(t, "POST", page, "visitor-2"); a.Code != "store_unavailable" {
		t.Errorf("a like on a full disk: %+v", a)
	}
	eventually(t, "the fault", func() bool {
		status, body := processtest.Get(i.Internal + "/readyz")
		return status == http.StatusOK && strings.Contains(body, `"store":{"status":"away"`)
	})
	if i.Log.Record("sqlite: the file cannot be written") == nil {
		t.Errorf("the log does not tell:\n%s", i.Log)
	}
	if a := send(t, "GET", page, ""); a.Count != 1 {
		t.Errorf("a read on a full disk: %+v", a)
	}
	late := watch(t, i.URL+"/v1/stream?topic=default/likes/page&topic=default/likes/other")
	late.await(t, `{"event":"live"}`)

	limit("unlimited")
	eventually(t, "a like again", func() bool { return send(t, "POST", page, "visitor-2").Code == "" })
	for _, frames := range []*stream{open, late} {
		frames.await(t, `"count":2,`)
		if frames.has("stale") {
			t.Errorf("a page was told that its numbers are old: %q", frames.lines)
		}
	}
	i.Terminate()
	i.ExitCode()

	started := processtest.Start(t, "prlimit", []string{asProgram + "=1"}, "--fsize=1024:unlimited", os.Args[0],
		"serve", "--store", store, "--listen", "127.0.0.1:0", "--internal-listen=")
	if code, log := started.ExitCode(), started.Log.String(); code != exitFailure || !strings.Contains(log, "no room on the disk") {
		t.Errorf("a start on a full disk ended with %d and said:\n%s", code, log)
	}
}
