package importer

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/table"
)

// Files of Umami's exports.
const (
	umamiEvents = "website_event.csv"
	umamiPages  = "pages.csv"
)

// pageview is Umami's event_type of a view; others are events and the like.
const pageview = "1"

// ReadUmami reads what Umami exports, and zip archives of it: website_event.csv, a row an
// event, also as a database writes that table, or pages.csv of the overview, a row a
// page with its views in columns x and y. (https://github.com/umami-software/umami; its
// columns stand in db/clickhouse/schema.sql and prisma/schema.prisma.) A page's visitors
// are the sessions that viewed it, those of the site all of them.
func ReadUmami(file File, naming Mapping) (Result, error) {
	source := umamiSource{file: file}
	if file.isArchive() {
		members, err := file.archive()
		if err != nil {
			return Result{}, err
		}
		source.members = members
		switch {
		case members.has(umamiEvents):
			source.name = umamiEvents
		case members.has(umamiPages):
			source.name = umamiPages
		default:
			return Result{}, fmt.Errorf("the archive has neither %s nor %s", umamiEvents, umamiPages)
		}
	}
	header, rows, closeIt, err := source.open()
	if err != nil {
		return Result{}, err
	}
	if at, err := columns(header, "x", "y"); err == nil {
		counts, err := readUmamiPages(source.name, rows, at, naming)
		return counts, errors.Join(err, closeIt())
	}
	if err := closeIt(); err != nil {
		return Result{}, err
	}
	return readUmamiEvents(source, naming)
}

// umamiSource is a file that is read twice, or a member of one.
type umamiSource struct {
	file    File
	members archive // nil: the file itself
	name    string  // of the member
}

func (s umamiSource) open() (header []string, rows *table.Reader, closeIt func() error, err error) {
	closeIt = func() error { return nil }
	var text io.Reader
	if s.members == nil {
		text, err = s.file.open()
	} else {
		var closer io.Closer
		if text, closer, err = s.members.open(s.name); err == nil {
			closeIt = closer.Close
		}
	}
	if err == nil {
		header, rows, err = openTable(text)
	}
	return header, rows, closeIt, err
}

// umamiView is a view of a page.
type umamiView struct{ website, session, host, path string }

// each passes the views of pages to use. Events are left out. Columns that a version of
// Umami lacks are empty.
func (s umamiSource) each(a *collector, use func(umamiView) error) error {
	header, rows, closeIt, err := s.open()
	if err != nil {
		return err
	}
	at := func(name string) int { return table.Column(header, name) }
	path := at("url_path")
	if path < 0 {
		path = at("url") // of the table pageview in version 1
	}
	session, website, host, query, kind, event := at("session_id"), at("website_id"), at("hostname"), at("url_query"), at("event_type"), at("event_name")
	if path < 0 || session < 0 {
		return errors.Join(fmt.Errorf("an export of Umami has columns url_path and session_id, or x and y; the first line names %.300q", header), closeIt())
	}
	width := max(path, session, website, host, query, kind, event) + 1
	err = a.eachRow(rows, s.name, width, func(row []string) error {
		value := func(column int) string {
			if column < 0 || row[column] == `\N` || row[column] == "NULL" { // as databases write none
				return ""
			}
			return row[column]
		}
		if kind >= 0 && value(kind) != pageview || kind < 0 && value(event) != "" {
			a.skip("events")
			return nil
		}
		view := umamiView{value(website), value(session), hostOf(value(host)), value(path)}
		if view.path == "" {
			return errors.New("its url_path is empty")
		}
		if query := value(query); query != "" {
			view.path += "?" + query
		}
		return use(view)
	})
	return errors.Join(err, closeIt())
}

func readUmamiEvents(source umamiSource, naming Mapping) (Result, error) {
	type site struct{ website, host string }
	named, sites := hosts{}, map[site]int64{}
	scan := newCollector("line")
	err := source.each(scan, func(v umamiView) error {
		if wantsWebsite(naming, v.website) {
			named.add(v.host)
			sites[site{v.website, v.host}]++
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	if scan.result.Entries == 0 {
		return Result{}, errors.New("the export has no rows")
	}
	chosen, err := named.filter(naming.Hosts)
	if err != nil {
		return Result{}, err
	}
	websites := hosts{}
	for each, n := range sites {
		if chosen.check(each.host) == nil {
			websites[each.website] += n
		}
	}
	if len(websites) > 1 && len(naming.Websites) == 0 {
		return Result{}, fmt.Errorf("the file has pages of several websites: %s; say with --website which to take", websites.format(none))
	}
	if len(naming.Websites) > 0 && len(websites) == 0 {
		return Result{}, errors.New("the file has no page of the website that --website names")
	}
	a := newCollector("line")
	ofPages, ofSite := a.newDistinct(), a.newDistinct()
	err = source.each(a, func(v umamiView) error {
		if !wantsWebsite(naming, v.website) {
			a.skip("views of other websites")
			return nil
		}
		if err := chosen.check(v.host); err != nil {
			return err
		}
		key, err := naming.page(v.path)
		if err != nil {
			return err
		}
		return a.addView(naming, key, ofPages.add(key, v.session), ofSite.add(v.session))
	})
	a.noteHosts(chosen)
	return a.sorted(), err
}

func wantsWebsite(naming Mapping, website string) bool {
	return len(naming.Websites) == 0 || slices.Contains(naming.Websites, website)
}

// readUmamiPages reads views by page. What is counted of the whole site does not stand
// there, nor do hosts.
func readUmamiPages(member string, rows *table.Reader, at map[string]int, naming Mapping) (Result, error) {
	a := newCollector("line")
	err := a.eachRow(rows, member, max(at["x"], at["y"])+1, func(row []string) error {
		n, err := numeral.Parse(row[at["y"]])
		if err != nil {
			return err
		}
		key, err := naming.page(row[at["x"]])
		if err != nil {
			return err
		}
		return a.addFigure(naming, FigureViews, key, n)
	})
	if err == nil && a.result.Entries == 0 {
		err = errors.New("the export has no rows")
	}
	return a.sorted(), err
}

// addFigure adds n to a figure of a page.
func (a *collector) addFigure(naming Mapping, figure, key string, n int64) error {
	topic, wanted, err := naming.topic(figure, key)
	if err == nil && wanted {
		a.add(topic, n)
	}
	return err
}
