package importer

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"regexp"
	"slices"
	"strings"
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

func isTrue(text string) bool { return strings.EqualFold(text, "true") || text == "1" }

// readGoatCSV reads CSV with a row for each view. The views of a page are its rows, and its visitors the
// rows that are the first of their session. The visitors of the site are the sessions.
func readGoatCSV(file File, mapping Mapping) (Result, error) {
	paths := newGoatHosts(mapping.Hosts)
	return collect("line", errNoViews, paths.filter, func(c *collector) error {
		rows, err := openRows(file.open, "")
		if err != nil {
			return err
		}
		// The name of the first column begins with the version.
		first := rows.header[0]
		if first != "1Path" && first != "2Path" {
			return fmt.Errorf("its first column is %.100q; an export of GoatCounter is a zip file, or CSV that begins with 1Path or 2Path", first)
		}
		at, err := rows.columns(first, "event", "bot", "session", "firstvisit")
		if err != nil {
			return err
		}
		sessions := c.newDistinct()
		err = rows.each(c, slices.Max(slices.Collect(maps.Values(at)))+1, func(row []string) error {
			switch bot := row[at["bot"]]; {
			case isTrue(row[at["event"]]):
				c.skip("events")
				return nil
			case bot != "0" && bot != "":
				c.skip("views of bots")
				return nil
			}
			key, err := paths.key(c, mapping, row[at[first]])
			if err != nil {
				return err
			}
			return c.addView(mapping, key, isTrue(row[at["firstvisit"]]), sessions.add(row[at["session"]]))
		})
		paths.note(c)
		return err
	})
}

// hostName matches a domain name with a dot, or localhost.
var hostName = regexp.MustCompile(`^(localhost|([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]+))$`)

// goatHosts determines whether paths begin with hosts. GoatCounter begins every path with a
// slash, so /example.com/a may be the page /a of a host or a page in a folder.
type goatHosts struct {
	names   []string // that --host names
	wanted  hosts    // first segments that are among the names
	folders hosts    // other first segments that look like a host and have pages below
	single  hosts    // other first segments that look like a host and are the whole path
	plain   int64    // paths that do not begin with a host
	inPaths bool     // paths begin with hosts; set by filter
}

func newGoatHosts(names []string) *goatHosts {
	return &goatHosts{names: names, wanted: hosts{}, folders: hosts{}, single: hosts{}}
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

func (g *goatHosts) add(path string) {
	switch host, rest := cutHost(path); {
	case slices.Contains(g.names, host):
		g.wanted.add(host)
	case !hostName.MatchString(host):
		g.plain++
	case strings.HasPrefix(rest, "/"):
		g.folders.add(host)
	default:
		g.single.add(host)
	}
}

// filter determines whether paths begin with hosts: if a host that --host names occurs, or if all paths
// begin with a segment that looks like a host. It returns the filter for these hosts.
func (g *goatHosts) filter(hosts) (hostFilter, error) {
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
		return hosts{}.filter(g.names)
	}
	for host := range g.single {
		if inPaths[host] == 0 {
			delete(g.single, host)
		}
	}
	return inPaths.filter(g.names)
}

// key returns the key of a path, which may begin with a host. Errors: those of [collector.accept]
// and [Mapping.key].
func (g *goatHosts) key(c *collector, mapping Mapping, path string) (string, error) {
	if c.filter == nil {
		g.add(path)
		return "", errHostKnown
	}
	host, rest := cutHost(path)
	if !g.inPaths || g.wanted[host]+g.folders[host]+g.single[host] == 0 {
		host, rest = "", path
	}
	if err := c.filter.check(host); err != nil {
		return "", err
	}
	return mapping.key(rest)
}

// note adds a note if folders look like hosts.
func (g *goatHosts) note(c *collector) {
	if !g.inPaths && len(g.folders) > 0 {
		c.note("Paths below %s were imported as folders. If that is a host, name it with --host.", g.folders.format(nil))
	}
}

// distinct is a set of texts, such as sessions. It stores 64-bit hashes: a million take 40 MB less than
// their texts. The probability of a collision among a million is below 1 in 10 million.
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

// add adds a text of several parts and reports whether it is new. It ignores a text with an empty part.
func (d distinct) add(parts ...string) bool {
	if slices.Contains(parts, "") {
		return false
	}
	sum := maphash.String(d.seed, strings.Join(parts, "\x00"))
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
