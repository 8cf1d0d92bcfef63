package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// variables returns an environment without the machine's variables.
func variables(pairs ...string) config.Environment { return config.ParseEnvironment(pairs) }

// call runs a command line to its end and returns its exit code and output.
func call(t *testing.T, env config.Environment, args ...string) (code int, out, errors string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, env, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tallycast.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// line returns the words of the line of a table that begins with name.
func line(t *testing.T, table, name string) string {
	t.Helper()
	for each := range strings.Lines(table) {
		if words := strings.Fields(each); len(words) > 0 && words[0] == name {
			return strings.Join(words, " ")
		}
	}
	t.Fatalf("no line %s in:\n%s", name, table)
	return ""
}

func TestCheckConfig_Layers(t *testing.T) {
	file := writeFile(t, "listen: :4444\nstore: redis://file/1\n")
	layers := []struct {
		name        string
		env         []string
		args        []string
		wantListen  string
		wantStore   string
		withoutFile bool
	}{
		{name: "default", withoutFile: true,
			wantListen: "listen :8080 default", wantStore: "store sqlite:data/tallycast.db default"},
		{name: "platform", withoutFile: true, env: []string{"PORT=5555", "REDIS_URL=redis://platform"},
			wantListen: "listen :5555 environment PORT", wantStore: "store redis://platform environment REDIS_URL"},
		{name: "file", env: []string{"PORT=5555", "REDIS_URL=redis://platform"},
			wantListen: "listen :4444 " + file + " line 1", wantStore: "store redis://file/1 " + file + " line 2"},
		{name: "environment", env: []string{"PORT=5555", "TALLYCAST_LISTEN=:3333", "TALLYCAST_STORE=redis://env"},
			wantListen: "listen :3333 environment TALLYCAST_LISTEN", wantStore: "store redis://env environment TALLYCAST_STORE"},
		{name: "flag", env: []string{"TALLYCAST_LISTEN=:3333", "TALLYCAST_STORE=redis://env"}, args: []string{"--listen=:2222", "--store=sqlite:x.db"},
			wantListen: "listen :2222 flag --listen", wantStore: "store sqlite:x.db flag --store"},
	}
	for _, l := range layers {
		t.Run(l.name, func(t *testing.T) {
			args := append([]string{"check-config"}, l.args...)
			if !l.withoutFile {
				args = append(args, "--config", file)
			}
			code, out, errors := call(t, variables(l.env...), args...)
			if code != exitOK {
				t.Fatalf("exit %d: %s", code, errors)
			}
			if got := line(t, out, "listen"); got != l.wantListen {
				t.Errorf("got %q, want %q", got, l.wantListen)
			}
			if got := line(t, out, "store"); got != l.wantStore {
				t.Errorf("got %q, want %q", got, l.wantStore)
			}
		})
	}
}

func TestCheckConfig_EmptyVariables(t *testing.T) {
	_, out, _ := call(t, variables("TALLYCAST_STORE=", "TALLYCAST_INTERNAL_LISTEN=", "REDIS_URL="), "check-config")
	if got := line(t, out, "store"); got != "store sqlite:data/tallycast.db default" {
		t.Error(got)
	}
	if got := line(t, out, "internal-listen"); got != "internal-listen (none) environment TALLYCAST_INTERNAL_LISTEN" {
		t.Error(got)
	}
}

// configOf returns the configuration of a valid command line.
func configOf(t *testing.T, env config.Environment, text string, args ...string) config.Config {
	t.Helper()
	if text != "" {
		args = append(args, "--config", writeFile(t, text))
	}
	_, flags, _, err := parse(append([]string{"serve"}, args...))
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	c, _, problems := (&process{env: env, flags: flags}).configure()
	if len(problems) > 0 {
		t.Fatalf("refused: %v", problems)
	}
	return c
}

func TestConfigure_Lists(t *testing.T) {
	forms := map[string]config.Config{
		"flags": configOf(t, variables(), "", "--site", "blog=https://a.example,https://b.example", "--site=docs=*", "--site=bare"),
		"more flags": configOf(t, variables(), "", "--site", "blog=https://a.example", "--site", "blog=https://B.example:443/",
			"--site", "docs=*,bare"),
		"environment": configOf(t, variables("TALLYCAST_SITE=blog=https://a.example, https://b.example,docs=*,bare"), ""),
		"file":        configOf(t, variables(), "site:\n  - blog=https://a.example,https://b.example\n  - docs=*\n  - bare\n"),
		"file, one":   configOf(t, variables(), `site: "blog=https://a.example,https://b.example,docs=*,bare"`),
	}
	for name, c := range forms {
		if got := c.Sites.Names(); !slices.Equal(got, []string{"default", "bare", "blog", "docs"}) {
			t.Errorf("%s: sites %v", name, got)
		}
		if got := c.Sites["blog"]; !slices.Equal(got, []string{"https://a.example", "https://b.example"}) {
			t.Errorf("%s: blog %v", name, got)
		}
		if got := c.Sites["docs"]; !slices.Equal(got, []string{"*"}) {
			t.Errorf("%s: docs %v", name, got)
		}
	}
}

func TestConfigure_Values(t *testing.T) {
	c := configOf(t, variables(), `
base-path: tally/
allow-origin: [https://*.example.com, http://localhost:3000]
metric: [stars=amount:5, claps=amount:10]
trusted-proxy: [private, 203.0.113.7]
rate-limit: off
read-limit: 600/m
max-viewers: 1_000
max-viewers-per-address: off
server-token: 00000000000000000000000000000001
internal-listen: ""
flush-interval: 100ms
demo: false
`)
	switch {
	case c.BasePath != "/tally":
		t.Error(c.BasePath)
	case !slices.Equal(c.Sites["default"], []string{"https://*.example.com", "http://localhost:3000"}):
		t.Error(c.Sites)
	case c.Metrics["stars"] != tally.Rule{Kind: tally.Amount, Max: 5} || c.Metrics["claps"].Max != 10 || c.Metrics["likes"].Kind != tally.Toggle:
		t.Error(c.Metrics)
	case len(c.TrustedProxies) != 9 || c.TrustedProxies[8].String() != "203.0.113.7/32":
		t.Error(c.TrustedProxies)
	case c.RateLimit != ratelimit.Limit{} || c.ReadLimit != ratelimit.Limit{Count: 600, Per: time.Minute} || c.NewTopicLimit != ratelimit.Limit{Count: 200, Per: time.Hour} || c.TopicLimit != ratelimit.Limit{Count: 120, Per: time.Hour}:
		t.Error(c.RateLimit, c.ReadLimit, c.NewTopicLimit, c.TopicLimit)
	case c.MaxViewers != 1000 || c.MaxViewersPerAddress != 0 || c.MaxWatchedTopics != 1_000_000:
		t.Error(c.MaxViewers, c.MaxViewersPerAddress, c.MaxWatchedTopics)
	case c.ServerToken != "00000000000000000000000000000001":
		t.Error("a token of digits is what was written, got", c.ServerToken)
	case c.InternalListen != "" || c.FlushInterval != 100*time.Millisecond || c.Demo:
		t.Error(c.InternalListen, c.FlushInterval, c.Demo)
	}
}

func TestConfigure_SecretFile(t *testing.T) {
	path := writeFile(t, "0123456789abcdef\n")
	if c := configOf(t, variables("TALLYCAST_SECRET_FILE="+path), ""); string(c.Secret) != "0123456789abcdef" {
		t.Errorf("got %q", c.Secret)
	}
}

func TestCheckConfig_Credentials(t *testing.T) {
	env := variables("TALLYCAST_SECRET=hunter2hunter2hunter2", "TALLYCAST_SERVER_TOKEN=hunter2hunter2hunter2")
	for _, store := range []string{
		"redis://:hunter2@h:1/2", "rediss://u:hunter2@h", "redis://hunter2@h", "redis://u:hunter2/@h", "redis://u:hunter2@@h",
		"redis://u:hunter2%@h", "redis+cluster://u:hunter2@h,i", "redis+sentinel://u:hunter2@h:1,i:2/m/0?wait=1", "redis://u:hunter2@", "rediss://u:hunter2@h:x",
		"redis+sentinel://h/m?sentinel_password=hunter2", "redis+sentinel://h/m?sentinel_password=hunter2%zz", "redis://h?sentinel_password=hunter2",
	} {
		_, out, errors := call(t, env, "check-config", "--store", store)
		if strings.Contains(out+errors, "hunter2") {
			t.Errorf("%s is printed:\n%s%s", store, out, errors)
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := call(t, variables(), "version")
	if code != exitOK || !strings.HasPrefix(out, "tallycast ") || !strings.Contains(out, "go1.") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// Every duration may be written in days and weeks.
func TestSettings_Durations(t *testing.T) {
	c := configOf(t, variables("TALLYCAST_WRITE_TIMEOUT=0.001d"), "journal: 7d\n", "--drain", "0d", "--metric", "daily=window:1d,weekly=window:1w")
	if c.Journal != 7*24*time.Hour || c.Drain != 0 || c.WriteTimeout != 86400*time.Millisecond || c.Metrics["daily"].Window != 24*time.Hour || c.Metrics["weekly"].Window != 7*24*time.Hour {
		t.Errorf("%+v", c)
	}
	for _, args := range []string{"topics spikes --since 1w", "topics undo default/likes/x --from 1d12h", "prune --site blog --untouched 2w"} {
		_, _, errors := call(t, variables(), append(strings.Fields(args), "--store", "sqlite:"+tempFile(t, "absent.db"))...)
		if !strings.Contains(errors, "does not exist") {
			t.Errorf("%s: %s", args, errors)
		}
	}
}

// Of two alternative settings the one of the higher layer applies; one layer may give only
// one of them.
func TestSettings_Alternatives(t *testing.T) {
	const token = "token-0123456789abcdef"
	for _, pair := range [][2]string{{"secret", "secret-file"}, {"admin-token", "admin-token-file"}} {
		text, file := pair[0], pair[1]
		path := writeFile(t, "from-a-file-0123456789\n")
		textVariable, fileVariable := config.VariableName(text)+"="+token, config.VariableName(file)+"="+path
		configText, configFile := text+": "+token+"\n", file+": "+path+"\n"
		for _, c := range []struct {
			name, config string
			env, args    []string
			holds        string // which of the two applies; empty: refused
		}{
			{name: "flag file, environment text", env: []string{textVariable}, args: []string{"--" + file, path}, holds: file},
			{name: "flag text, environment file", env: []string{fileVariable}, args: []string{"--" + text, token}, holds: text},
			{name: "environment file, config text", config: configText, env: []string{fileVariable}, holds: file},
			{name: "environment text, config file", config: configFile, env: []string{textVariable}, holds: text},
			{name: "flag file, config text", config: configText, args: []string{"--" + file, path}, holds: file},
			{name: "a file that is absent does not matter if it does not hold", env: []string{config.VariableName(file) + "=/absent"}, args: []string{"--" + text, token}, holds: text},
			{name: "both flags", args: []string{"--" + text, token, "--" + file, path}},
			{name: "both variables", env: []string{textVariable, fileVariable}},
			{name: "both in the config", config: configText + configFile},
		} {
			t.Run(text+"/"+c.name, func(t *testing.T) {
				args := append([]string{"check-config"}, c.args...)
				if c.config != "" {
					args = append(args, "--config", writeFile(t, c.config))
				}
				code, out, errors := call(t, variables(c.env...), args...)
				if c.holds == "" {
					if code != exitUsage || !strings.Contains(errors, "should be given once") {
						t.Errorf("exit %d: %s", code, errors)
					}
					return
				}
				if code != exitOK {
					t.Fatalf("exit %d: %s", code, errors)
				}
				for _, name := range pair {
					if shown := line(t, out, name); strings.Contains(shown, "(none)") != (name != c.holds) {
						t.Errorf("%s holds, and %q is shown", c.holds, shown)
					}
				}
			})
		}
	}
}

func TestEnvironment_UnknownVariables(t *testing.T) {
	for pair, want := range map[string]string{
		"TALLYCAST_LISTN=:1":           "environment TALLYCAST_LISTN: there is no such setting; did you mean TALLYCAST_LISTEN?",
		"TALLYCAST_ALLOWORIGIN=*":      "did you mean TALLYCAST_ALLOW_ORIGIN?",
		"TALLYCAST_ALLOW-ORIGIN=*":     "did you mean TALLYCAST_ALLOW_ORIGIN?",
		"TALLYCAST_SECRTE=hunter2":     "did you mean TALLYCAST_SECRET?",
		"TALLYCAST_DRAN=":              "did you mean TALLYCAST_DRAIN?",
		"TALLYCAST_QUUX=1":             "environment TALLYCAST_QUUX: there is no such setting; tallycast serve --help lists them",
		"TALLYCAST_PORT=8080":          "environment TALLYCAST_PORT: there is no such setting",
		"TALLYCAST_=1":                 "environment TALLYCAST_: there is no such setting",
		"TALLYCAST_MAX_VIEWERS_PER=10": "TALLYCAST_MAX_VIEWERS_PER",
	} {
		for _, command := range []string{"serve", "check-config"} {
			code, _, errors := call(t, variables(pair), command)
			if code != exitUsage || !strings.Contains(errors, want) || strings.Contains(errors, "hunter2") {
				t.Errorf("%s with %s: exit %d, lacks %q:\n%s", command, pair, code, want, errors)
			}
		}
	}
}

func TestEnvironment_OtherReaders(t *testing.T) {
	env := variables("LISTN=:1", "TALLYCASTER_LISTN=:1", "TALLYCAST_TEST_BINARY=/bin/tallycast", "TALLYCAST_URL=http://localhost:8080",
		// Variables that Kubernetes sets beside the services tallycast and tallycast-redis.
		"TALLYCAST_SERVICE_HOST=10.0.0.1", "TALLYCAST_SERVICE_PORT=80", "TALLYCAST_SERVICE_PORT_HTTP=80", "TALLYCAST_PORT=tcp://10.0.0.1:80",
		"TALLYCAST_PORT_80_TCP=tcp://10.0.0.1:80", "TALLYCAST_PORT_80_TCP_PROTO=tcp", "TALLYCAST_PORT_80_TCP_PORT=80", "TALLYCAST_PORT_80_TCP_ADDR=10.0.0.1",
		"TALLYCAST_REDIS_SERVICE_HOST=10.0.0.2", "TALLYCAST_REDIS_PORT=tcp://10.0.0.2:6379", "TALLYCAST_REDIS_PORT_6379_TCP_ADDR=10.0.0.2")
	if code, _, errors := call(t, env, "check-config"); code != exitOK {
		t.Errorf("exit %d:\n%s", code, errors)
	}
}
