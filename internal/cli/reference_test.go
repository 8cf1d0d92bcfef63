package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/config"
)

// compareFile compares the file at path with want, or writes it with -update.
func compareFile(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not up to date; run: go test ./internal/cli -run UpToDate -update", path)
	}
}

func reference(name string) string { return filepath.Join("..", "..", "docs", "reference", name) }

// flags.md lists every setting of serve.
func TestFlagsPage_UpToDate(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Flags\n\nGenerated from the settings of `tallycast serve`. Each may be given as a flag, an environment variable or a key of the\n" +
		"YAML file that `--config` names. A flag overrides the environment, the environment the file, and the file `PORT` and\n" +
		"`REDIS_URL`. A repeatable setting is a list in the file and comma-separated in the environment. Times are written\n" +
		"`50ms`, `10s`, `1m30s` or `7d`. `tallycast check-config` prints every setting with its source.\n")
	group := ""
	for _, s := range config.Settings {
		if s.Group != group {
			group = s.Group
			fmt.Fprintf(&page, "\n## %s\n\n| flag | environment variable | YAML key | default | meaning |\n|---|---|---|---|---|\n", group)
		}
		flag, fallback := "--"+s.Name, ""
		if s.Value != "" {
			flag += " " + s.Value
		}
		if s.Default != "" {
			fallback = "`" + s.Default + "`"
		}
		fmt.Fprintf(&page, "| `%s` | `%s` | `%s` | %s | %s |\n", flag, s.Variable(), s.Name, fallback, strings.NewReplacer("|", "\\|", "*", "\\*", "<", "&lt;").Replace(s.Help))
	}
	compareFile(t, reference("flags.md"), page.String())
}

// commands.md has the help of every command.
func TestCommandsPage_UpToDate(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Commands\n\nGenerated from the help of each command (`tallycast COMMAND --help`). [flags.md](flags.md) has the flags of `serve`\nwith their keys in the configuration file.\n")
	add := func(name string, args ...string) {
		code, out, errors := call(t, variables(), append(args, "--help")...)
		if code != exitOK || errors != "" {
			t.Errorf("%s: exit %d, %s", name, code, errors)
		}
		fmt.Fprintf(&page, "\n## %s\n\n```\n%s```\n", name, out)
	}
	add("tallycast")
	for _, c := range commands {
		add("tallycast "+c.name, c.name)
		for _, sub := range c.sub {
			add("tallycast "+c.name+" "+sub.name, c.name, sub.name)
		}
	}
	compareFile(t, reference("commands.md"), page.String())
}
