package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each case has settings and the parts of the error message.
func TestServe_InvalidSettings(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	short := writeFile(t, "short")
	both := []string{"TALLYCAST_SECRET=0123456789abcdef", "TALLYCAST_SECRET_FILE=" + absent}
	cases := []struct {
		env  []string
		args string
		file string
		want []string

		hidden string // must not be shown
	}{
		{args: "--listen 8080", want: []string{"--listen (flag --listen)", `"8080" should be an address such as :8080`}},
		{env: []string{"PORT=http"}, want: []string{"--listen (environment PORT)", "should be an address"}},
		{args: "--listen :70000", want: []string{"should be an address"}},
		{args: "--internal-listen :8080", want: []string{"--internal-listen", "the address of --listen too"}},
		{args: "--base-path /a/../b", want: []string{"--base-path", "should be a path such as /tally"}},
		{args: "--base-path /a?b", want: []string{"--base-path"}},
		{args: "--store mysql://h", want: []string{"--store", "should begin with sqlite:, redis://, rediss://, redis+sentinel:// or redis+cluster://"}},
		{args: "--store sqlite:", want: []string{"should name a file"}},
		{args: "--store redis://", want: []string{"should be redis://user:password@host:port/database"}},
		{args: "--store redis://h:1,h:2", want: []string{"names several hosts", "redis+sentinel://"}},
		{args: "--store redis+sentinel://h:1,h:2", want: []string{"lacks the name under which the Sentinels monitor the primary"}},
		{args: "--store redis+cluster://h:1/2", want: []string{"a Cluster has only the database 0"}},
		{args: "--store redis+cluster://", want: []string{"should be redis+cluster://user:password@host:port,host:port"}},
		{args: "--store redis://h?wait=some", want: []string{"wait=some should be how many replicas confirm a write"}},
		{env: []string{"REDIS_URL=postgres://h"}, want: []string{"--store (environment REDIS_URL)"}},
		{args: "--redis-prefix a{b}", want: []string{"--redis-prefix", "should be 1 to 64 of"}},
		{args: "--secret short", want: []string{"--secret", "has 5 bytes; it should have 16 or more"}},
		{args: "--secret-file " + absent, want: []string{"--secret-file", "cannot be read: no such file"}},
		{args: "--secret-file " + short, want: []string{"--secret-file", "has 5 bytes"}},
		{env: both, want: []string{"--secret-file (environment TALLYCAST_SECRET_FILE)", "by --secret (environment TALLYCAST_SECRET) too"}},
		{args: "--server-token short", want: []string{"--server-token", "has 5 bytes"}},
		{args: "--admin-token short", want: []string{"--admin-token", "has 5 bytes; it should have 16 or more", "openssl rand -hex 32"}},
		{args: "--admin-token-file " + short, want: []string{"--admin-token-file", "has 5 bytes"}},
		{args: "--admin-token-file " + absent, want: []string{"--admin-token-file", "cannot be read: no such file"}},
		{args: "--admin-token 0123456789abcdef --admin-token-file " + absent, want: []string{"--admin-token-file", "given by --admin-token (flag --admin-token) too"}},
		{args: "--admin-token 0123456789abcdef --server-token 0123456789abcdef", want: []string{"--admin-token", "is the same as --server-token"}},
		{args: "--journal 5m", want: []string{"--journal", "should be a time from 1h to 90d", "or off"}},
		{args: "--site blog=keys=unknown", want: []string{"--site", "should be an origin"}},
		{args: "--site keys=known", want: []string{"--site", "should be an origin"}},
		{args: "--site blog=sitemap=/sitemap.xml", want: []string{"--site", "should be the address of a sitemap"}},
		{args: "--site Blog=keys=known", want: []string{"should be name=origin"}},
		{env: []string{"TALLYCAST_SERVER_TOKEN=a token with spaces"}, want: []string{"printable ASCII without spaces"}},
		{args: "--site Blog=https://a.example", want: []string{"--site", `"Blog=https://a.example" should be name=origin`}},
		{args: "--site counts", want: []string{`"counts" should be name=origin`, "none of counts"}},
		{args: "--site https://a.example", want: []string{"should be name=origin"}},
		{args: "--site blog=a.example", want: []string{"--site", "should be an origin such as"}},
		{args: "--site blog=ftp://a.example", want: []string{"its scheme is http or https"}},
		{args: "--allow-origin https://a.example/path", want: []string{"--allow-origin", "nothing follows the host"}},
		{args: "--allow-origin https://u:p@a.example", want: []string{"nothing follows the host"}},
		{args: "--allow-origin https://a.*.example", want: []string{"should be an origin"}},
		{args: "--allow-origin https://*", want: []string{"should be an origin"}},
		{args: "--allow-origin https://a.example:99999", want: []string{"no such port"}},
		{args: "--allow-origin https://bücher.example", want: []string{"xn--"}},
		{args: "--metric Stars=toggle", want: []string{"--metric", "should be name=rule"}},
		{args: "--metric stars", want: []string{"should be name=rule"}},
		{args: "--metric stars=amount", want: []string{"stars:", "is not a rule"}},
		{args: "--metric stars=once,stars=toggle", want: []string{"stars is declared twice"}},
		{args: "--trusted-proxy 10.0.0.0/99", want: []string{"--trusted-proxy", "should be an address range such as 10.0.0.0/8"}},
		{args: "--rate-limit 20", want: []string{"--rate-limit", "should be a rate such as 20/s"}},
		{args: "--read-limit 0/s", want: []string{"--read-limit", "should be a rate"}},
		{args: "--new-topic-limit 5/day", want: []string{"--new-topic-limit", "should be a rate"}},
		{args: "--max-viewers 0", want: []string{"--max-viewers", "a whole number from 1 to 1000000000, or off"}},
		{args: "--max-viewers-per-address -1", want: []string{"--max-viewers-per-address"}},
		{args: "--max-watched-topics many", want: []string{"--max-watched-topics"}},
		{args: "--flush-interval 50", want: []string{"--flush-interval", "should be a time from 1ms to 10s"}},
		{args: "--write-timeout 1ms", want: []string{"--write-timeout", "from 1s to 10m"}},
		{args: "--drain -1s", want: []string{"--drain"}},
		{args: "--store redis://127.0.0.1:1/0 --lease-file lease", want: []string{"--lease-file", "is for an SQLite store"}},
		{args: "--store-replica redis://127.0.0.1:1", want: []string{"--store-replica", "is for a store in Redis"}},
		{args: "--store redis+cluster://127.0.0.1:1 --store-replica redis://127.0.0.1:2", want: []string{"--store-replica", "has only the slots of one node"}},
		{args: "--store redis://127.0.0.1:1 --store-replica redis+sentinel://127.0.0.1:2/tally", want: []string{"--store-replica", "one server close to this instance"}},
		{args: "--store redis://127.0.0.1:1/2 --store-replica redis://127.0.0.1:2", want: []string{"--store-replica", "database 0 and the store 2"}},
		{args: "--log-level loud", want: []string{"--log-level", "should be debug, info, warn or error"}},
		{args: "--log-format xml", want: []string{"--log-format", "should be auto, text or json"}},
		{env: []string{"TALLYCAST_DEMO=maybe"}, want: []string{"--demo (environment TALLYCAST_DEMO)", "true or false"}},
		{env: []string{"TALLYCAST_ALLOW_EVICTION=2"}, want: []string{"--allow-eviction"}},
		{args: "--config " + absent, want: []string{"--config (flag --config)", "cannot be read: no such file"}},
		{file: "lisen: :1\n", want: []string{"--lisen", "line 1", "there is no such setting; did you mean listen?"}},
		{file: "flush_interval: 1s\n", want: []string{"did you mean flush-interval?"}},
		{file: "# hello\nzzz: 1\n", want: []string{"line 2", "tallycast serve --help lists them"}},
		{file: "config: other.yaml\n", want: []string{"there is no such setting"}},
		{file: "listen: :1\nlisten: :2\n", want: []string{"listen"}},
		{file: "listen: [':1', ':2']\n", want: []string{"line 1", "should be one value, not a list"}},
		{file: "listen:\n", want: []string{"has no value"}},
		{file: "site: {blog: https://a.example}\n", want: []string{"--site", "should be plain text"}},
		{file: "- listen\n", want: []string{`should have lines such as "listen: :8080"`}},
		{file: "admin-token: hidden-token-of-the-owner\nlisten: ':1\n", want: []string{"line 2 is not YAML"}, hidden: "admin-token: hidden"},
		{file: "admin-token: |hidden-token\n", want: []string{"line 1 is not YAML"}, hidden: "\"hidden-token"},
		{file: "listen: \x00\xff\x1b[2J\n", want: []string{"is not text in UTF-8"}, hidden: "\x1b"},
		{file: "listen: :1\n---\nlisten: :2\n", want: []string{"several documents"}},
	}
	for _, c := range cases {
		t.Run(c.args+c.file+strings.Join(c.env, " "), func(t *testing.T) {
			args := strings.Fields(c.args)
			if c.file != "" {
				args = append(args, "--config", writeFile(t, c.file))
			}
			// A bare tallycast would start the service if the settings were accepted.
			data := filepath.Join(t.TempDir(), "data")
			if !strings.Contains(c.args, "--store") && !strings.Contains(strings.Join(c.env, " "), "REDIS_URL") {
				args = append(args, "--store", "sqlite:"+filepath.Join(data, "x.db"))
			}
			code, out, errors := call(t, variables(c.env...), args...)
			if code != exitUsage || out != "" {
				t.Errorf("exit %d, %q", code, out)
			}
			for _, want := range c.want {
				if !strings.Contains(errors, want) {
					t.Errorf("lacks %q:\n%s", want, errors)
				}
			}
			if c.hidden != "" && strings.Contains(errors, c.hidden) {
				t.Errorf("shows %q:\n%s", c.hidden, errors)
			}
			if _, err := os.Stat(data); err == nil {
				t.Error("a store was opened")
			}
		})
	}
}

func TestCheckConfig_AllProblems(t *testing.T) {
	file := writeFile(t, "lissten: :1\nrate-limit: fast\n")
	code, out, errors := call(t, variables("TALLYCAST_DRAIN=soon"), "check-config",
		"--config", file, "--site", "UPPER", "--site", "blog=nowhere", "--listen", "here")
	if code != exitUsage {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"lissten", `"fast"`, `"soon"`, `"UPPER"`, `"nowhere"`, `"here"`} {
		if !strings.Contains(errors, want) {
			t.Errorf("lacks %s:\n%s", want, errors)
		}
	}
	if line(t, out, "drain") != "drain soon environment TALLYCAST_DRAIN" {
		t.Errorf("the table is missing:\n%s", out)
	}
}

func TestCommandLine_Invalid(t *testing.T) {
	for args, want := range map[string]string{
		"--lissten :1":                    "unknown flag: --lissten; did you mean --listen?",
		"--store=x.db --quux":             "unknown flag: --quux\n",
		"version --listen :1":             "unknown flag: --listen\n",
		"-x":                              "unknown shorthand flag: 'x'",
		"serv":                            "there is no command serv; did you mean serve?",
		"quux":                            "there is no command quux\n",
		"serve extra":                     `unexpected argument "extra"`,
		"--demo false":                    `unexpected argument "false"`,
		"--listen :1 check-config":        "the command check-config must come before all flags",
		"--max-viewers":                   "flag needs an argument: --max-viewers",
		"--secret --server-token=hunter2": "--secret needs a value, and --server-token is a flag",
	} {
		code, out, errors := call(t, variables(), strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.HasPrefix(errors, "tallycast: "+want) || strings.Contains(errors, "hunter2") {
			t.Errorf("%s: exit %d, %q%q", args, code, out, errors)
		}
	}
}

// A file may have the name of a command.
func TestCommandLine_FileNamedAsCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("backup", []byte("topic,count\nblog/likes/a,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errors := call(t, variables(), "import", "--format", "csv", "--dry-run", "--store", sqlite(t), "backup"); code != 0 {
		t.Errorf("exit %d, %q%q", code, out, errors)
	}
}

func TestCommandLine_RepeatedFlag(t *testing.T) {
	_, out, _ := call(t, variables(), "check-config", "--listen", ":1", "--listen=:2", "--secret=--not-a-flag-at-all", "--site", "a", "--site", "b")
	for name, want := range map[string]string{
		"listen": "listen :2 flag --listen", "site": "site a,b flag --site", "secret": "secret (set, 19 bytes) flag --secret",
	} {
		if got := line(t, out, name); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
