package main

import (
	"errors"
)

// smoke has sizes that try every case without measuring anything.
var smoke = map[string][]string{
	"fanout":    {"--viewers", "200", "--duration", "1s", "--runs", "1"},
	"memory":    {"--viewers", "200", "--idle", "1s", "--settle", "1s", "--likes", "2000", "--topics", "100"},
	"connect":   {"--viewers", "200", "--runs", "1"},
	"likes":     {"--duration", "1s", "--warm", "100ms", "--topics", "100", "--runs", "1"},
	"history":   {"--duration", "1s", "--warm", "100ms", "--spread", "100", "--runs", "1", "--topics", "1000", "--active", "200", "--settle", "1s", "--calls", "100"},
	"storm":     {"--viewers", "200", "--duration", "1s", "--runs", "1"},
	"press":     {"--viewers", "200", "--runs", "1"},
	"latency":   {"--viewers", "20", "--likes", "10", "--runs", "1"},
	"regions":   {"--pages", "20", "--likes", "20", "--viewers", "20", "--instances", "3", "--link-likes", "200"},
	"growth":    {"--viewers", "100,200", "--topics", "1,20", "--per-viewer", "1,5", "--duration", "1s", "--runs", "1"},
	"scale":     {"--topics", "400", "--renames", "8", "--settle", "1s", "--quiet", "500ms", "--call-time", "100ms"},
	"instances": {"--instances", "2", "--viewers", "100", "--likes", "50"},
	"start":     {"--runs", "2"},
}

type allCase struct {
	Smoke bool `help:"Small and short: tries all cases; the figures mean nothing."`
}

// Run runs all cases, each as its own command line.
func (c *allCase) Run(s *session) error {
	var errs []error
	for _, name := range order {
		arguments := []string{name}
		if c.Smoke {
			arguments = append(arguments, smoke[name]...)
		}
		if s.results != defaultResults {
			arguments = append(arguments, "--results", s.results)
		}
		if s.binary != "" {
			arguments = append(arguments, "--binary", s.binary)
		}
		if s.baseline != "" {
			arguments = append(arguments, "--baseline", s.baseline)
		}
		for _, argument := range s.arguments {
			arguments = append(arguments, "--argument="+argument)
		}
		if s.ctx.Err() == nil {
			errs = append(errs, run(s.ctx, arguments))
		}
	}
	return errors.Join(errs...)
}
