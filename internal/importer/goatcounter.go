package importer

import (
	"errors"
	"fmt"
	"hash/maphash"

	"regexp"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/table"
)

// ReadGoatCounter reads what GoatCounter exports: its archive of JSON, the recommended
// form (https://www.goatcounter.com/help/export-json), or CSV in versions 1 and 2
// (https://www.goatcounter.com/help/export). A path may begin with a host, as sites with
// several domains store it; Naming.Hosts selects among them.
func ReadGoatCounter(file File, naming Mapping) (Result, error) {
	if file.isArchive() {
		return readGoatArchive(file, naming)
	}
	return readGoatCSV(file, naming)
}

// errNoViews says that a CSV export has no rows.
var errNoViews = errors.New("the export has no pageviews. GoatCounter writes them as CSV only while it collects individual pageviews; its JSON export, a zip file, has all counts")

// goatRows is a CSV export of GoatCounter, a row a view.
type goatRows struct {
	rows *table.Reader
	at   map[string]int
}

func openGoatRows(file File) (goatRows, error) {
	text, err := file.open()
	if err != nil {
		return goatRows{}, err
	}
	header, rows, err := openTable(text)
	if err != nil {
		return goatRows{}, err
	}
	// The version precedes the first column's name.
	if version, ok := strings.CutSuffix(header[0], "Path"); !ok || (version != "1" && version != "2") {
		return goatRows{}, fmt.Errorf("the first column is %.100q; an export of GoatCounter is a zip file, or CSV that begins with 1Path or 2Path", header[0])
	}
	header[0] = "path"
	at, err := columns(header, "path", "event", "bot", "session", "firstvisit")
	return goatRows{rows, at}, err
}

// each passes the views of pages to use. Views of bots and events are left out.
func (g goatRows) each(a *collector, use func(path, session string, isFirst bool) error) error {
	width := max(g.at["path"], g.at["event"], g.at["bot"], g.at["session"], g.at["firstvisit"]) + 1
	return a.eachRow(g.rows, "", width, func(row []string) error {
		switch {
		case isTrue(row[g.at["event"]]):
			a.skip("events")
			return nil
		case row[g.at["bot"]] != "0" && row[g.at["bot"]] != "":
			a.skip("views of bots")
			return nil
		}
		return use(row[g.at["path"]], row[g.at["session"]], isTrue(row[g.at["firstvisit"]]))
	})
}

func isTrue(text string) bool { return strings.EqualFold(text, "true") || text == "1" }

// readGoatCSV reads CSV. A page's views are its rows, its visitors those that were the
// first of their session there; those of the site are its sessions.
func readGoatCSV(file File, naming Mapping) (Result, error) {
	first, err := openGoatRows(file)
	if err != nil {
		return Result{}, err
	}
	var paths goatHosts
	scan := newCollector("line")
	if err := first.each(scan, func(path, _ string, _ bool) error { paths.add(path, naming.Hosts); return nil }); err != nil {
		return Result{}, err
	}
	if scan.result.Entries == 0 {
		return Result{}, errNoViews
	}
	chosen, err := paths.filter(naming.Hosts)
	if err != nil {
		return Result{}, err
	}
	again, err := openGoatRows(file)
	if err != nil {
		return Result{}, err
	}
	a := newCollector("line")
	sessions := a.newDistinct()
	err = again.each(a, func(path, session string, isFirst bool) error {
		host, path := paths.split(path)
		if err := chosen.check(host); err != nil {
			return err
		}
		key, err := naming.page(path)
		if err != nil {
			return err
		}
		return a.addView(naming, key, isFirst, sessions.add(session))
	})
	paths.note(a)
	a.noteHosts(chosen)
	return a.sorted(), err
}

// hostName matches a host with a domain, or localhost.
var hostName = regexp.MustCompile(`^(localhost|([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]+))$`)

// goatHosts finds out whether paths begin with hosts. GoatCounter puts a slash before
// every path, so that /example.com/a may be the page a of a host or below a folder.
type goatHosts struct {
	wanted  hosts // that are named by --host
	folders hosts // that look like a host and have pages below
	single  hosts // that look like a host and are the whole path
	plain   int64 // paths that begin with no host
	begin   bool  // paths begin with hosts
}

// firstOf returns the first segment of a path, as a host, and the rest.
func firstOf(path string) (host, rest string) {
	path = strings.TrimLeft(path, "/")
	at := strings.IndexAny(path, "/?#")
	if at < 0 {
		return hostOf(path), ""
	}
	return hostOf(path[:at]), path[at:]
}

func (g *goatHosts) add(path string, wanted []string) {
	if g.wanted == nil {
		g.wanted, g.folders, g.single = hosts{}, hosts{}, hosts{}
	}
	switch host, rest := firstOf(path); {
	case slices.Contains(wanted, host):
		g.wanted.add(host)
	case !hostName.MatchString(host):
		g.plain++
	case strings.HasPrefix(rest, "/"):
		g.folders.add(host)
	default:
		g.single.add(host)
	}
}

// filter decides whether paths begin with hosts, and which are taken: if one that is
// wanted occurs, or if all paths begin with what looks like a host.
func (g *goatHosts) filter(wanted []string) (hostFilter, error) {
	named := hosts{}
	plain := g.plain
	for host, n := range g.single {
		if g.folders[host] > 0 || g.wanted[host] > 0 {
			named[host] += n
		} else {
			plain += n // a file such as /robots.txt
		}
	}
	for _, each := range []hosts{g.wanted, g.folders} {
		for host, n := range each {
			named[host] += n
		}
	}
	if g.begin = len(named) > 0 && (len(g.wanted) > 0 || plain == 0); !g.begin {
		return hosts{}.filter(wanted)
	}
	for host := range g.single {
		if named[host] == 0 {
			delete(g.single, host)
		}
	}
	return named.filter(wanted)
}

// split returns the host of a path, if paths begin with hosts, and the path on it.
func (g *goatHosts) split(path string) (host, rest string) {
	if !g.begin {
		return "", path
	}
	host, rest = firstOf(path)
	if g.wanted[host]+g.folders[host]+g.single[host] == 0 {
		return "", path
	}
	return host, rest
}

// note tells of paths that may begin with a host.
func (g *goatHosts) note(a *collector) {
	if !g.begin && len(g.folders) > 0 {
		a.note("Paths below %s were taken as folders. If that is a host, name it with --host.", g.folders.format(none))
	}
}

// addView counts a view of a page, and whether it brings a visitor to the page and one to
// the site.
func (a *collector) addView(naming Mapping, key string, newToPage, newToSite bool) error {
	for _, each := range []struct {
		figure, key string
		counts      bool
	}{
		{FigureViews, key, true},
		{FigureVisitors, key, newToPage},
		{FigureViews, wholeSite, true},
		{FigureVisitors, wholeSite, newToSite},
	} {
		topic, wanted, err := naming.topic(each.figure, each.key)
		if err != nil {
			return err
		}
		if wanted && each.counts {
			a.add(topic, 1)
		}
	}
	return nil
}

// distinct tells texts that are new from those that were added before, by 64 bits of a
// hash: a million of them take some 40 MB less than their texts would, and one of a
// million is mistaken with a chance of less than one in ten million.
type distinct struct {
	adder *collector // is told if there are too many
	seed  maphash.Seed
	seen  map[uint64]struct{}
}

// maxDistinct bounds how many texts are told apart: some GiB of memory.
const maxDistinct = 100_000_000

func (a *collector) newDistinct() distinct {
	return distinct{a, maphash.MakeSeed(), map[uint64]struct{}{}}
}

// add reports whether these parts are new. Empty ones are nobody.
func (d distinct) add(parts ...string) bool {
	var h maphash.Hash
	h.SetSeed(d.seed)
	for _, part := range parts {
		if part == "" {
			return false
		}
		_, _ = h.WriteString(part) // never fails
		_ = h.WriteByte(0)
	}
	sum := h.Sum64()
	if _, ok := d.seen[sum]; ok {
		return false
	}
	if len(d.seen) >= maxDistinct {
		d.adder.full = fmt.Errorf("it has more than %d sessions; import it in parts", maxDistinct)
		return false
	}
	d.seen[sum] = struct{}{}
	return true
}
