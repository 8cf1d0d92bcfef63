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

// ReadGoatCounter reads exports of GoatCounter: the recommended archive of JSON
// (https://www.goatcounter.com/help/export-json), or CSV in versions 1 and 2
// (https://www.goatcounter.com/help/export). Paths may begin with a host, as those of sites
// with several domains do; [Mapping].Hosts selects among them.
func ReadGoatCounter(file File, mapping Mapping) (Result, error) {
	if file.isArchive() {
		return readGoatArchive(file, mapping)
	}
	return readGoatCSV(file, mapping)
}

// errNoViews is the error of a CSV export without rows.
var errNoViews = errors.New("the export has no pageviews: GoatCounter writes them as CSV only if it collects individual pageviews; import its JSON export, a zip file, which has all counts")

// goatRows is a CSV export with a row for each view.
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
	// The name of the first column begins with the version.
	if version, ok := strings.CutSuffix(header[0], "Path"); !ok || (version != "1" && version != "2") {
		return goatRows{}, fmt.Errorf("its first column is %.100q; an export of GoatCounter is a zip file, or CSV that begins with 1Path or 2Path", header[0])
	}
	header[0] = "path"
	at, err := columns(header, "path", "event", "bot", "session", "firstvisit")
	return goatRows{rows, at}, err
}

// each passes the views of pages to use. It skips events and views of bots.
func (g goatRows) each(c *collector, use func(path, session string, isFirst bool) error) error {
	width := max(g.at["path"], g.at["event"], g.at["bot"], g.at["session"], g.at["firstvisit"]) + 1
	return c.eachRow(g.rows, "", width, func(row []string) error {
		switch {
		case isTrue(row[g.at["event"]]):
			c.skip("events")
			return nil
		case row[g.at["bot"]] != "0" && row[g.at["bot"]] != "":
			c.skip("views of bots")
			return nil
		}
		return use(row[g.at["path"]], row[g.at["session"]], isTrue(row[g.at["firstvisit"]]))
	})
}

func isTrue(text string) bool { return strings.EqualFold(text, "true") || text == "1" }

// readGoatCSV reads CSV. The views of a page are its rows, its visitors the rows that are the
// first of their session. The visitors of the site are the sessions.
func readGoatCSV(file File, mapping Mapping) (Result, error) {
	first, err := openGoatRows(file)
	if err != nil {
		return Result{}, err
	}
	var paths goatHosts
	scan := newCollector("line")
	if err := first.each(scan, func(path, _ string, _ bool) error { paths.add(path, mapping.Hosts); return nil }); err != nil {
		return Result{}, err
	}
	if scan.result.Entries == 0 {
		return Result{}, errNoViews
	}
	filter, err := paths.filter(mapping.Hosts)
	if err != nil {
		return Result{}, err
	}
	again, err := openGoatRows(file)
	if err != nil {
		return Result{}, err
	}
	c := newCollector("line")
	sessions := c.newDistinct()
	err = again.each(c, func(path, session string, isFirst bool) error {
		host, path := paths.split(path)
		if err := filter.check(host); err != nil {
			return err
		}
		key, err := mapping.key(path)
		if err != nil {
			return err
		}
		return c.addView(mapping, key, isFirst, sessions.add(session))
	})
	paths.note(c)
	c.noteHosts(filter)
	return c.sorted(), err
}

// hostName matches a domain name with a dot, or localhost.
var hostName = regexp.MustCompile(`^(localhost|([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]+))$`)

// goatHosts determines whether paths begin with hosts. GoatCounter begins every path with a
// slash, so /example.com/a may be the page /a of a host or a page in a folder.
type goatHosts struct {
	wanted  hosts // first segments that --host names
	folders hosts // others that look like a host and have pages below
	single  hosts // others that look like a host and are the whole path
	plain   int64 // paths that do not begin with a host
	inPaths bool  // paths begin with hosts; set by filter
}

// cutHost returns the first segment of a path as a host, and the rest.
func cutHost(path string) (host, rest string) {
	path = strings.TrimLeft(path, "/")
	at := strings.IndexAny(path, "/?#")
	if at < 0 {
		return normalHost(path), ""
	}
	return normalHost(path[:at]), path[at:]
}

func (g *goatHosts) add(path string, wanted []string) {
	if g.wanted == nil {
		g.wanted, g.folders, g.single = hosts{}, hosts{}, hosts{}
	}
	switch host, rest := cutHost(path); {
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

// filter determines whether paths begin with hosts, which is so if a wanted host occurs or
// all paths begin with what looks like a host. It returns the filter for these hosts.
func (g *goatHosts) filter(wanted []string) (hostFilter, error) {
	inPaths := hosts{}
	plain := g.plain
	for host, n := range g.single {
		if g.folders[host] > 0 || g.wanted[host] > 0 {
			inPaths[host] += n
		} else {
			plain += n // a file such as /robots.txt
		}
	}
	for _, each := range []hosts{g.wanted, g.folders} {
		for host, n := range each {
			inPaths[host] += n
		}
	}
	if g.inPaths = len(inPaths) > 0 && (len(g.wanted) > 0 || plain == 0); !g.inPaths {
		return hosts{}.filter(wanted)
	}
	for host := range g.single {
		if inPaths[host] == 0 {
			delete(g.single, host)
		}
	}
	return inPaths.filter(wanted)
}

// split splits a path into host and path; the host is empty if paths do not begin with one.
func (g *goatHosts) split(path string) (host, rest string) {
	if !g.inPaths {
		return "", path
	}
	host, rest = cutHost(path)
	if g.wanted[host]+g.folders[host]+g.single[host] == 0 {
		return "", path
	}
	return host, rest
}

// note adds a note if folders look like hosts.
func (g *goatHosts) note(c *collector) {
	if !g.inPaths && len(g.folders) > 0 {
		c.note("Paths below %s were imported as folders. If that is a host, name it with --host.", g.folders.format(nil))
	}
}

// distinct is a set of texts, such as sessions, by 64-bit hashes: a million take 40 MB less
// than their texts. The probability of a collision among a million is below 1 in 10 million.
type distinct struct {
	collector *collector // fails if there are too many texts
	seed      maphash.Seed
	seen      map[uint64]struct{}
}

// maxDistinct bounds the texts of a set: some GiB of memory.
const maxDistinct = 100_000_000

func (c *collector) newDistinct() distinct {
	return distinct{c, maphash.MakeSeed(), map[uint64]struct{}{}}
}

// add adds a text of several parts and reports whether it is new. A text with an empty part
// is never new.
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
		d.collector.full = fmt.Errorf("it has more than %d sessions; import it in parts", maxDistinct)
		return false
	}
	d.seen[sum] = struct{}{}
	return true
}
