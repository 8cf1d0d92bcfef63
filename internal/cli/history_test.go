package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestHistory_CSV(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t))
	code, out, errors := call(t, variables(), "history", "--url", service.public, "default/likes/50% of it")
	if code != exitOK || out != "at,count\n" {
		t.Errorf("exit %d, %q, %s", code, out, errors)
	}
	send(t, "POST", service.public+"/v1/default/likes/50%25%20of%20it", "visitor-1")
	for _, by := range []string{"day", "hour"} {
		code, out, errors = call(t, variables("TALLYCAST_AT="+service.public), "history", "--by", by, "--last", "2", "default/likes/50% of it")
		if lines := strings.Split(out, "\n"); code != exitOK || len(lines) != 4 || !strings.HasSuffix(lines[1], ":00Z,0") || !strings.HasSuffix(lines[2], ":00Z,1") {
			t.Errorf("by %s: exit %d, %q, %s", by, code, out, errors)
		}
	}
	if code, _, errors := call(t, variables(), "history", "--url", service.public, "default/nometric/x"); code != exitFailure || !strings.Contains(errors, "unknown_metric") {
		t.Errorf("an unknown metric: exit %d, %s", code, errors)
	}
}

func TestHistory_InvalidArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil, {"hello"}, {"default/likes/x", "default/likes/y"}, {"--by", "week", "default/likes/x"},
		{"--last", "401", "default/likes/x"}, {"--by", "hour", "--last", "193", "default/likes/x"},
	} {
		if code, _, errors := call(t, variables(), append([]string{"history"}, args...)...); code != exitUsage || errors == "" {
			t.Errorf("%v: exit %d, %s", args, code, errors)
		}
	}
}

func TestHistory_Plot(t *testing.T) {
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	points := []historyPoint{{at, 0}, {at.Add(24 * time.Hour), 515}, {at.Add(48 * time.Hour), 2000}}
	if err := plotHistory(&out, tally.Day, points); err != nil {
		t.Fatal(err)
	}
	want := "2026-11-27     0\n2026-11-28   515 ████████████▉\n2026-11-29 2,000 " + strings.Repeat("█", 50) + "\n"
	if got := strings.ReplaceAll(out.String(), "\u202f", ","); got != want {
		t.Errorf("the plot is\n%s, want\n%s", got, want)
	}
}
