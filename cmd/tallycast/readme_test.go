package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What differs from run to run, and what the README shows in its place.
var passing = []struct {
	pattern *regexp.Regexp
	shown   string
}{
	{regexp.MustCompile(`"version":\d{16}`), `"version":N`},
	{regexp.MustCompile(`retry: \d{4}`), `retry: N`},
	{regexp.MustCompile(`"request_id":"[a-z0-9]{8}-\d+"`), `"request_id":"N"`},
}

func withoutPassing(text string) string {
	for _, each := range passing {
		text = each.pattern.ReplaceAllString(text, each.shown)
	}
	return strings.TrimSpace(text)
}

// readmeSession is a command of the README and what it shows as the answer.
type readmeSession struct{ command, answer string }

func readme(t *testing.T) (text string, sessions []readmeSession) {
	t.Helper()
	content, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	text = string(content)
	for _, block := range strings.Split(text, "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, session := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, answer, _ := strings.Cut(session, "\n")
			sessions = append(sessions, readmeSession{command, answer})
		}
	}
	return text, sessions
}

func TestTheExamplesOfTheReadmeAnswerAsShown(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatalf("the README's examples are run with curl: apt-get install curl (%v)", err)
	}
	r := started(t, variables(), "--store", sqlite(t), "--drain", "0s")
	_, sessions := readme(t)
	if len(sessions) < 8 {
		t.Fatalf("the README shows %d commands", len(sessions))
	}
	for _, session := range sessions {
		command := strings.ReplaceAll(session.command, "localhost:8080", r.public)
		command = strings.Replace(command, "curl ", "exec curl -s --noproxy '*' --max-time 20 ", 1)
		if got, want := withoutPassing(answerOf(t, command)), withoutPassing(session.answer); got != want {
			t.Errorf("$ %s\n got: %s\nwant: %s", session.command, got, want)
		}
	}
}

// answerOf runs a command until it ends, or shows a stream that is live.
func answerOf(t *testing.T, command string) string {
	t.Helper()
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
	live := false
	for scanner := bufio.NewScanner(out); !live && scanner.Scan(); {
		answer.WriteString(scanner.Text() + "\n")
		live = strings.HasSuffix(scanner.Text(), `{"event":"live"}`)
	}
	if live {
		cancel()
	}
	if err := shell.Wait(); err != nil && !live {
		t.Errorf("%s: %v", command, err)
	}
	return answer.String()
}

func TestTheReadmeListsEverySettingWithItsDefault(t *testing.T) {
	text, _ := readme(t)
	_, table, _ := strings.Cut(text, "\n## Configuration\n")
	for _, d := range settings {
		row := ""
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, "|") && strings.Contains(line, "`--"+d.name+"`") {
				row = line
			}
		}
		if !strings.Contains(row, d.fallback) || row == "" {
			t.Errorf("--%s, by default %q, has the row %q", d.name, d.fallback, row)
		}
	}
}
