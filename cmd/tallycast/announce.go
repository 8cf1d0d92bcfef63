package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
)

// announcement is what is said at the start: what is served, where, from which
// store, to which origins, and which source each of that came from.
type announcement struct {
	config   config
	values   map[string]value
	public   string // addresses, as bound
	internal string
}

// make writes lines for people, or records for machines.
func (a announcement) make(out io.Writer, log *slog.Logger, forPeople bool) {
	if forPeople {
		a.write(out)
		return
	}
	v, c := build()
	var given []any
	for _, d := range settings {
		given = append(given, slog.Group(d.name, "value", show(d, a.values[d.name]), "source", string(a.values[d.name].source)))
	}
	log.Info("configuration", given...)
	log.Info("serving", "version", v, "commit", c, "url", a.url(), "address", a.public, "internal", a.internal,
		"store", a.store(), "sites", a.config.sites, "admin", a.config.adminToken != "")
}

func (a announcement) write(out io.Writer) {
	v, _ := build()
	fmt.Fprintf(out, "\n  tallycast %s\n\n", v)
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, text string, setting string) {
		from := ""
		if v := a.values[setting]; v.source != fromDefault {
			from = string(v.source)
		}
		fmt.Fprintf(lines, "  %s\t%s\t%s\n", name, text, from)
	}
	if a.config.demo {
		line("demo", a.url()+"/", "listen")
	}
	line("script", a.url()+"/tally.js", "listen")
	if a.config.adminToken != "" {
		setting := "admin-token"
		if a.values["admin-token-file"].texts != nil {
			setting = "admin-token-file"
		}
		line("admin", a.url()+"/admin/", setting)
	}
	if a.internal != "" {
		line("internal", localURL(a.internal)+"/metrics", "internal-listen")
	}
	line("store", a.store(), "store")
	for _, site := range a.config.sites.names() {
		origins := "pages of its own origin"
		if o := a.config.sites[site]; len(o) > 0 {
			origins = strings.Join(o, " ")
		}
		setting := "site"
		if site == "default" && a.values["allow-origin"].source != fromDefault {
			setting = "allow-origin"
		}
		if sitemaps, known := a.config.known[site]; known {
			origins += "; topics of known keys alone"
			if len(sitemaps) > 0 {
				origins += ", those in " + strings.Join(sitemaps, " ") + " among them"
			}
		}
		line("site "+site, origins, setting)
	}
	shown := map[string]bool{"admin-token": true, "admin-token-file": true, "listen": true, "internal-listen": true, "store": true, "site": true, "allow-origin": true}
	for _, d := range settings {
		if value := a.values[d.name]; value.source != fromDefault && !shown[d.name] {
			line(d.name, show(d, value), d.name)
		}
	}
	_ = lines.Flush() // out is the process's error stream: where would one complain
	fmt.Fprint(out, "\n  Everything else has its default. Stop with Ctrl+C.\n\n")
}

// url is where this machine reaches the service.
func (a announcement) url() string { return localURL(a.public) + a.config.basePath }

func (a announcement) store() string {
	if a.config.store.sqlitePath != "" {
		return "sqlite:" + a.config.store.sqlitePath
	}
	return redactStore(a.config.store.redisURL)
}
