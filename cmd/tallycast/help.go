package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// groups are the headings of the settings, in the order of the help.
var groups = []kong.Group{
	{Key: "listen", Title: "Where it listens"},
	{Key: "store", Title: "Where counts are kept"},
	{Key: "sites", Title: "What is counted, and for whom"},
	{Key: "trust", Title: "Who is trusted"},
	{Key: "limits", Title: "Limits"},
	{Key: "delivery", Title: "Delivery"},
	{Key: "process", Title: "Process"},
}

const serveHelp = `Each --some-name may also be given as the environment variable ` +
	`TALLYCAST_SOME_NAME (comma-separated where repeatable), or as some-name in the ` +
	`YAML file of --config. A flag beats the environment, which beats the file, which ` +
	`beats PORT and REDIS_URL. Defaults and variables stand in parentheses. Times are ` +
	`written 50ms, 10s or 1m30s.`

const serveExamples = `
Examples:
  tallycast
      A blog on one machine: counts in data/tallycast.db, demo at http://localhost:8080/.

  tallycast --allow-origin https://blog.example.com --trusted-proxy private
      The same, embedded in a page of another origin, behind a proxy on this network.

  tallycast --store redis://cache.internal:6379/0 --site blog=https://blog.example.com
      One of many instances that share a Redis.`

const appHelp = `Usage: tallycast [command] [flags]

Live counts, pushed: likes, visitors and readers that move on every open page.

Commands:
`

const appExamples = `
Examples:
  tallycast                              serve a blog from data/tallycast.db, with a demo at http://localhost:8080/
  tallycast --store redis://localhost    share the counts between instances
  tallycast check-config                 what would hold, and where each value comes from
  tallycast serve --help                 every setting, with its default
`

// Help is printed by kong below the one line that says what serve does.
func (serveCommand) Help() string { return serveHelp }

// Help is printed by kong below the one line that says what check-config does.
func (checkConfigCommand) Help() string {
	return "Takes the settings of serve. Nothing is started, no store is opened; exit code 2 when something is wrong."
}

// Help is printed by kong below the one line that says what healthcheck does.
func (healthcheckCommand) Help() string {
	return "Finds the instance by its own configuration: --config, environment and the flags below."
}

// printHelp prints the page of the whole program by hand, since kong would list
// the settings of each command, and leaves those of commands to kong.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	selected := ctx.Selected()
	if len(ctx.Args) > 0 && selected != nil && ctx.Args[0] == selected.Name {
		options.WrapUpperBound = maxHelpColumns
		if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
			return err
		}
		if selected.Name == "serve" {
			fmt.Fprintln(ctx.Stdout, serveExamples)
		}
		return nil
	}
	fmt.Fprint(ctx.Stdout, appHelp)
	for _, child := range ctx.Model.Children {
		fmt.Fprintf(ctx.Stdout, "  %-14s%s\n", child.Name, child.Help)
	}
	fmt.Fprint(ctx.Stdout, appExamples)
	return nil
}

// maxHelpColumns keeps lines short enough to be read.
const maxHelpColumns = 110

// describe is a setting's help with its default and its variable.
func describe(v *kong.Value) string {
	text := v.Help
	fallback := v.Tag.Get("fallback")
	switch {
	case v.Flag == nil || v.Flag.Group == nil:
	case fallback != "":
		text += " (" + fallback + "; " + envName(v.Name) + ")"
	default:
		text += " (" + envName(v.Name) + ")"
	}
	return text
}
