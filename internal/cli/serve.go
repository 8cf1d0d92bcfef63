package cli

import (
	"fmt"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
)

const serveDetails = `
Each flag --some-name may also be given as the environment variable
TALLYCAST_SOME_NAME (comma-separated if it is repeatable), or as some-name in the
YAML file of --config. Flags have precedence over the environment, the environment over
the file, and the file over the PORT and REDIS_URL of a hosting platform. Parentheses
contain the default and the variable. Times are written 50ms, 10s, 1m30s or 7d.
`

const serveExamples = `
Examples:
  tallycast
      A blog on one machine: counts in data/tallycast.db, demo at
      http://localhost:8080/.

  tallycast --allow-origin https://blog.example.com --trusted-proxy private
      The same for the pages of another origin, behind a proxy on this network.

  tallycast --store redis://cache.internal:6379/0 --site blog=https://blog.example.com
      One of many instances that share a Redis.
`

const checkConfigDetails = `
Accepts the settings of serve. Nothing is started and no store is opened. The exit
code is 2 if something is wrong.
`

func serve(p *process) error {
	c, values, problems := p.configure()
	if len(problems) > 0 {
		return configError(problems)
	}
	version, commit := buildInfo()
	return server.Run(p.ctx, server.Options{
		Config: c, Values: values, CommandLine: p.commandLine(), Version: version, Commit: commit, Stderr: p.stderr,
	})
}

// commandLine returns the command line of serve without credentials.
func (p *process) commandLine() []string {
	line := []string{"tallycast", "serve"}
	for _, s := range config.Settings {
		for _, text := range p.flags[s.Name] {
			line = append(line, "--"+s.Name+"="+s.Show(config.Value{Texts: []string{text}}))
		}
	}
	return line
}

func checkConfig(p *process) error {
	c, values, problems := p.configure()
	t := newTable()
	for _, s := range config.Settings {
		t.add(s.Name, s.Show(values[s.Name]), string(values[s.Name].Source))
	}
	if err := t.write(p.stdout); err != nil {
		return err
	}
	if len(problems) > 0 {
		fmt.Fprintln(p.stdout)
		return configError(problems)
	}
	for _, m := range c.ReplacedMetrics() {
		fmt.Fprintf(p.stdout, "\n--metric %s=%s replaces the rule of a default metric, which is %s.\n", m.Name, m.Rule, m.Default)
	}
	fmt.Fprintln(p.stdout, "\nThe configuration is good.")
	return nil
}
