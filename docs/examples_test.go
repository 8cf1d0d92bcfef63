// Package docs_test compares the documents with the program: it runs their examples, and
// generates the pages of reference/ from their sources.
package docs_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// binary is the path of the program under test.
var binary string

func TestMain(m *testing.M) { processtest.Main(m, 1, &binary, nil) }

// volatile are parts of answers that differ from run to run.
var volatile = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`"version":\d{16}`), `"version":N`},
	{regexp.MustCompile(`retry: \d{4}`), `retry: N`},
	{regexp.MustCompile(`"request_id":"[a-z0-9]{8}-[0-9a-z]+"`), `"request_id":"N"`},
}

func normalise(answer string) string {
	for _, v := range volatile {
		answer = v.pattern.ReplaceAllString(answer, v.replacement)
	}
	return strings.TrimSpace(answer)
}

// Every command in a console block of a document answers as the document shows.
func TestExamples_AnswerAsShown(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("the examples are run with curl: apt-get install curl (%v)", err)
	}
	for path, atLeast := range map[string]int{"../README.md": 3, "api.md": 8} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			instance := processtest.Serve(t, binary, nil, "--store", "sqlite:"+filepath.Join(t.TempDir(), "tally.db"), "--drain", "0s")
			instance.AwaitReady()
			examples := 0
			for _, block := range strings.Split(string(text), "```console\n")[1:] {
				block, _, _ = strings.Cut(block, "```")
				for _, example := range strings.Split("\n"+block, "\n$ ")[1:] {
					examples++
					command, want, _ := strings.Cut(example, "\n")
					got := normalise(run(t, instance.Address(), command))
					// A list of gains is up to 5 s behind.
					for end := time.Now().Add(10 * time.Second); strings.Contains(command, "since=") && got != normalise(want) && time.Now().Before(end); {
						time.Sleep(100 * time.Millisecond)
						got = normalise(run(t, instance.Address(), command))
					}
					if got != normalise(want) {
						t.Errorf("$ %s\n got: %s\nwant: %s", command, got, want)
					}
				}
			}
			if examples < atLeast {
				t.Errorf("%s shows %d commands, not %d", path, examples, atLeast)
			}
		})
	}
}

// run returns what a command prints until it ends or, if it is a stream, until it is live.
func run(t *testing.T, address, command string) string {
	t.Helper()
	command = strings.ReplaceAll(command, "localhost:8080", address)
	command = strings.Replace(command, "curl ", "exec curl -s --noproxy '*' --max-time 20 ", 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-c", command)
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	isLive := false
	for scanner := bufio.NewScanner(out); !isLive && scanner.Scan(); {
		answer.WriteString(scanner.Text() + "\n")
		isLive = strings.HasSuffix(scanner.Text(), `{"event":"live"}`)
	}
	if isLive {
		cancel()
	}
	if err := shell.Wait(); err != nil && !isLive {
		t.Errorf("%s: %v", command, err)
	}
	return answer.String()
}
