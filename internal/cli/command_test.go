package cli

import (
	"strings"
	"testing"
)

func TestCommandLine_HelpAndVersion(t *testing.T) {
	for args, same := range map[string]string{
		"help":               "--help",
		"help help":          "--help",
		"help --help":        "--help",
		"help --listen":      "--help",
		"help serve":         "serve --help",
		"help check-config":  "check-config --help",
		"help version extra": "version --help",
		"help topics":        "topics --help",
		"topics -h":          "topics --help",
		"healthcheck -h":     "healthcheck --help",
		"--version":          "version",
	} {
		code, out, errors := call(t, variables(), strings.Fields(args)...)
		_, want, _ := call(t, variables(), strings.Fields(same)...)
		if code != exitOK || out != want || errors != "" {
			t.Errorf("%s: exit %d, %q%q, want what %s says", args, code, out, errors, same)
		}
	}
}

func TestCommandLine_ErrorsNameHelp(t *testing.T) {
	for args, want := range map[string]string{
		"--lissten :1":             "tallycast serve --help",
		"serve --lissten :1":       "tallycast serve --help",
		"serve --drain":            "tallycast serve --help",
		"--demo false":             "tallycast serve --help",
		"check-config --quux":      "tallycast check-config --help",
		"watch -x":                 "tallycast watch --help",
		"--version now":            "tallycast version --help",
		"quux":                     "tallycast --help",
		"help quux":                "tallycast --help",
		"halp":                     "did you mean help?",
		"--listen :1 check-config": "tallycast --help",
	} {
		code, out, errors := call(t, variables(), strings.Fields(args)...)
		if code != exitUsage || out != "" || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q:\n%s%s", args, code, want, out, errors)
		}
	}
}

// Errors of frequent mistakes say what to write instead.
func TestCommandLine_Mistakes(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--drain", "0s", "--store", sqlite(t), "--base-path", "/tally")
	absent := tempFile(t, "absent.db")
	for args, want := range map[string]string{
		"topics list --at localhost:8080 --admin-token 0123456789abcdef":                  `"localhost:8080" is not the URL of a service, such as https://counts.example.com; did you mean http://localhost:8080?`,
		"watch --at counts.example.com default/likes/x":                                   "did you mean http://counts.example.com?",
		"watch --url ftp://x default/likes/x":                                             `"ftp://x" is not the URL of a service, such as https://counts.example.com` + "\n",
		"watch --at " + strings.TrimSuffix(service.public, "/tally") + " default/likes/x": "--at should be the URL of the service, with its base path",
		"doctor blog.example.com/post":                                                    "did you mean http://blog.example.com/post?",
		"doctor /tmp/index.html":                                                          `"/tmp/index.html" is not the URL of a page, such as https://blog.example.com/post` + "\n",
		"doctor --timeout soon http://x":                                                  "tallycast: --timeout (flag --timeout)",
		"healthcheck --url 127.0.0.1:8081/readyz":                                         "did you mean http://127.0.0.1:8081/readyz?",
		"export --store tally.db":                                                         "the file tally.db is sqlite:tally.db",
		"export --store mysql://x":                                                        "or redis+cluster://\n",
		"export --store sqlite:" + absent:                                                 "sqlite:" + absent + " does not exist; name the store that serve uses",
		"backup --store sqlite:" + absent + " b.db":                                       "sqlite:" + absent + " does not exist; name the store that serve uses",
		"topics list --store sqlite:" + absent:                                            "sqlite:" + absent + " does not exist; name the store that serve uses",
		"topics prune --site blog":                                                        "did you mean prune?",
		"topics undo default/likes/x --from 2h --source xyz --store sqlite:x":             `--source (flag --source): "xyz" is not a source such as 9f86d081`,
		"topics undo default/likes/x --from 2h --address nowhere --store sqlite:x":        `--address (flag --address): "nowhere" should be an address such as 203.0.113.7`,
		"topics set default/likes/x -5 --store sqlite:x":                                  "-5 is not a flag, and numbers below 0 are not accepted",
		"topics seed default/likes/x -12 --store sqlite:x":                                "-12 is not a flag",
		"topics set -x default/likes/x 5 --store sqlite:x":                                "unknown shorthand flag: 'x'",
		"export --at http://127.0.0.1:1 --admin-token 0123456789abcdef":                   "no service answers at http://127.0.0.1:1; --at should be its URL",
	} {
		code, out, errors := call(t, variables(), strings.Fields(args)...)
		if code == exitOK || out != "" || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q: %s%s", args, code, want, out, errors)
		}
	}
	if exists(absent) || exists(absent+".lock") {
		t.Error("a store was made by a command that reads")
	}
}
