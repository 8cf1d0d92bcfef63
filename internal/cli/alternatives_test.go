package cli

import (
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/config"
)

// Two settings that say the same thing in two ways: the one of the higher layer holds,
// and one layer may give only one of them.
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
			holds        string // which of the two; empty: it is refused
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
