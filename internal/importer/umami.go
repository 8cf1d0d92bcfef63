package importer

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/table"
)

// Files of Umami's exports.
const (
	umamiEvents = "website_event.csv"
	umamiPages  = "pages.csv"
)

// pageview is the event_type of a view.
const pageview = "1"

// ReadUmami reads exports of Umami, as files or in a zip archive: website_event.csv with a
// row for each event, also as databases write that table, or pages.csv of the overview with
// a row for each page and its views in the columns x and y. The visitors of a page are the
// sessions that viewed it, those of the site are all sessions.
// (https://github.com/umami-software/umami, db/clickhouse/schema.sql, prisma/schema.prisma)
func ReadUmami(file File, mapping Mapping) (Result, error) {
	source := umamiSource{open: file.open}
	if file.isArchive() {
		members, err := file.archive()
		if err != nil {
			return Result{}, err
		}
		switch {
		case members.has(umamiEvents):
			source.member = umamiEvents
		case members.has(umamiPages):
			source.member = umamiPages
		default:
			return Result{}, fmt.Errorf("the archive has neither %s nor %s", umamiEvents, umamiPages)
		}
		source.open = func() (*bufio.Reader, error) { return members.open(source.member) }
	}
	header, rows, err := source.table()
	if err != nil {
		return Result{}, err
	}
	if at, err := columns(header, "x", "y"); err == nil {
		return readUmamiPages(source.member, rows, at, mapping)
	}
	return readUmamiEvents(source, mapping)
}

// umamiSource is a file, or a member of an archive. It is read twice.
type umamiSource struct {
	open   func() (*bufio.Reader, error)
	member string // empty if the file is not an archive
}

func (s umamiSource) table() (header []string, rows *table.Reader, err error) {
	text, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	return openTable(text)
}

// umamiView is a view of a page.
type umamiView struct{ website, session, host, path string }

// each passes the views of pages to use. It skips events. Columns that a version of Umami
// lacks are empty.
func (s umamiSource) each(c *collector, use func(umamiView) error) error {
	header, rows, err := s.table()
	if err != nil {
		return err
	}
	at := func(name string) int { return table.Column(header, name) }
	path := at("url_path")
	if path < 0 {
		path = at("url") // of the table pageview of version 1
	}
	session, website, host, query, kind, event := at("session_id"), at("website_id"), at("hostname"), at("url_query"), at("event_type"), at("event_name")
	if path < 0 || session < 0 {
		return fmt.Errorf("an export of Umami has the columns url_path and session_id, or x and y; its first line is %.300q", strings.Join(header, ", "))
	}
	width := max(path, session, website, host, query, kind, event) + 1
	return c.eachRow(rows, s.member, width, func(row []string) error {
		value := func(column int) string {
			if column < 0 || row[column] == `\N` || row[column] == "NULL" { // NULL, as databases write it
				return ""
			}
			return row[column]
		}
		if kind >= 0 && value(kind) != pageview || kind < 0 && value(event) != "" {
			c.skip("events")
			return nil
		}
		view := umamiView{value(website), value(session), normalHost(value(host)), value(path)}
		if view.path == "" {
			return errors.New("its url_path is empty")
		}
		if query := value(query); query != "" {
			view.path += "?" + query
		}
		return use(view)
	})
}

func readUmamiEvents(source umamiSource, mapping Mapping) (Result, error) {
	type site struct{ website, host string }
	inFile, sites := hosts{}, map[site]int64{}
	scan := newCollector("line")
	err := source.each(scan, func(v umamiView) error {
		if wantsWebsite(mapping, v.website) {
			inFile.add(v.host)
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
	filter, err := inFile.filter(mapping.Hosts)
	if err != nil {
		return Result{}, err
	}
	websites := hosts{}
	for each, n := range sites {
		if filter.check(each.host) == nil {
			websites[each.website] += n
		}
	}
	if len(websites) > 1 && len(mapping.Websites) == 0 {
		return Result{}, fmt.Errorf("the file has pages of several websites: %s; name with --website the website to import, and repeat --website to add up several", websites.format(nil))
	}
	if len(mapping.Websites) > 0 && len(websites) == 0 {
		return Result{}, errors.New("the file has no page of the website that --website names")
	}
	c := newCollector("line")
	ofPages, ofSite := c.newDistinct(), c.newDistinct()
	err = source.each(c, func(v umamiView) error {
		if !wantsWebsite(mapping, v.website) {
			c.skip("views of other websites")
			return nil
		}
		if err := filter.check(v.host); err != nil {
			return err
		}
		key, err := mapping.key(v.path)
		if err != nil {
			return err
		}
		return c.addView(mapping, key, ofPages.add(key, v.session), ofSite.add(v.session))
	})
	c.noteHosts(filter)
	return c.sorted(), err
}

func wantsWebsite(mapping Mapping, website string) bool {
	return len(mapping.Websites) == 0 || slices.Contains(mapping.Websites, website)
}

// readUmamiPages reads views by page. The file has neither hosts nor figures of the site.
func readUmamiPages(member string, rows *table.Reader, at map[string]int, mapping Mapping) (Result, error) {
	c := newCollector("line")
	err := c.eachRow(rows, member, max(at["x"], at["y"])+1, func(row []string) error {
		n, err := numeral.Parse(row[at["y"]])
		if err != nil {
			return err
		}
		key, err := mapping.key(row[at["x"]])
		if err != nil {
			return err
		}
		return c.addFigure(mapping, figureViews, key, n)
	})
	if err == nil && c.result.Entries == 0 {
		err = errors.New("the export has no rows")
	}
	return c.sorted(), err
}
