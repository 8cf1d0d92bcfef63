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
