package server

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

// summary is the report of an instance at its start: addresses, store, sites, and the source of each
// setting that does not have its default.
type summary struct {
	Options
	public, internal string // addresses as bound
}

// print writes text for people, or log records.
func (s summary) print(log *slog.Logger, forPeople bool) {
	if forPeople {
		s.write(s.Stderr)
		return
	}
	var settings []any
	for _, each := range config.Settings {
		value := s.Values[each.Name]
		settings = append(settings, slog.Group(each.Name, "value", each.Show(value), "source", string(value.Source)))
	}
	log.Info("configuration", settings...)
	log.Info("serving", "version", s.Version, "commit", s.Commit, "url", s.url(), "address", s.public, "internal", s.internal,
		"store", s.Config.Store.Name(), "sites", s.Config.Sites, "admin", s.Config.AdminToken != "")
}

func (s summary) write(out io.Writer) {
	fmt.Fprintf(out, "\n  tallycast %s\n\n", s.Version)
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, text, setting string) {
		from := ""
		if v := s.Values[setting]; !v.IsDefault() {
			from = string(v.Source)
		}
		fmt.Fprintf(lines, "  %s\t%s\t%s\n", name, text, from)
	}
	// given returns alternative if it is given, else setting.
	given := func(setting, alternative string) string {
		if v := s.Values[alternative]; v.IsGiven() && !v.IsDefault() {
			return alternative
		}
		return setting
	}
	if s.Config.Demo {
		line("demo", s.url()+"/", "listen")
	}
	line("script", s.url()+"/tally.js", "listen")
	if s.Config.AdminToken != "" {
		line("admin", s.url()+"/admin/", given("admin-token", "admin-token-file"))
	}
	if s.internal != "" {
		line("internal", config.LocalURL(s.internal)+"/metrics", "internal-listen")
	}
	line("store", s.Config.Store.Name(), "store")
	for _, site := range s.Config.Sites.Names() {
		setting := "site"
		if site == tally.DefaultSite {
			setting = given("site", "allow-origin")
		}
		line("site "+site, s.siteText(site), setting)
	}
	shown := map[string]bool{"admin-token": true, "admin-token-file": true, "listen": true, "internal-listen": true, "store": true, "site": true, "allow-origin": true}
	for _, each := range config.Settings {
		if value := s.Values[each.Name]; !value.IsDefault() && !shown[each.Name] {
			line(each.Name, each.Show(value), each.Name)
		}
	}
	_ = lines.Flush() // out is standard error, so a failure cannot be reported
	fmt.Fprint(out, "\n  Everything else has its default. Stop with Ctrl+C.\n\n")
}

// siteText returns the origins of a site, whether its keys are known, and how its visitors
// are signed.
func (s summary) siteText(site string) string {
	text := "pages of its own origin"
	if origins := s.Config.Sites[site]; len(origins) > 0 {
		text = strings.Join(origins, " ")
	}
	if sitemaps, isKnown := s.Config.KnownKeys[site]; isKnown {
		text += "; only topics of known keys"
		if len(sitemaps) > 0 {
			text += ", which include those in " + strings.Join(sitemaps, " ")
		}
	}
	var signed []string
	for _, source := range s.Config.VisitorKeys {
		if source.Site == "" || source.Site == site {
			signed = append(signed, source.String())
		}
	}
	if len(signed) > 0 {
		text += "; visitors signed by " + strings.Join(signed, ", ")
	}
	if s.Config.SignedSites[site] {
		text += ", and no others"
	}
	return text
}

// url returns the URL at which this machine reaches the service.
func (s summary) url() string { return config.LocalURL(s.public) + s.Config.BasePath }
