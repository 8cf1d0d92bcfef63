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
	open, member := file.open, ""
	if file.isArchive() {
		members, err := file.archive()
		if err != nil {
			return Result{}, err
		}
		switch {
		case members[umamiEvents] != nil:
			member = umamiEvents
		case members[umamiPages] != nil:
			member = umamiPages
		default:
			return Result{}, fmt.Errorf("the archive has neither %s nor %s", umamiEvents, umamiPages)
		}
		open = func() (*bufio.Reader, error) { return members.open(member) }
	}
	websites := umamiWebsites{wanted: mapping.Websites, views: map[umamiSite]int64{}}
	choose := func(inFile hosts) (hostFilter, error) {
		filter, err := inFile.filter(mapping.Hosts)
		if err == nil {
			err = websites.check(filter)
		}
		return filter, err
	}
	return collect("line", errors.New("the export has no rows"), choose, func(c *collector) error {
		rows, err := openRows(open, member)
		if err != nil {
			return err
		}
		if at, err := rows.columns("x", "y"); err == nil {
			return readUmamiPages(c, rows, at, mapping)
		}
		return readUmamiEvents(c, rows, &websites, mapping)
	})
}

// readUmamiEvents reads the views of pages and skips events. Columns that a version of Umami
// lacks are empty.
func readUmamiEvents(c *collector, rows rows, websites *umamiWebsites, mapping Mapping) error {
	at := func(name string) int { return table.Column(rows.header, name) }
	path := at("url_path")
	if path < 0 {
		path = at("url") // of the table pageview of version 1
	}
	session, website, host, query, kind, event := at("session_id"), at("website_id"), at("hostname"), at("url_query"), at("event_type"), at("event_name")
	if path < 0 || session < 0 {
		return fmt.Errorf("an export of Umami has the columns url_path and session_id, or x and y; its first line is %.300q", strings.Join(rows.header, ", "))
	}
	ofPages, ofSite := c.newDistinct(), c.newDistinct()
	return rows.each(c, max(path, session, website, host, query, kind, event)+1, func(row []string) error {
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
		address := value(path)
		if address == "" {
			return errors.New("its url_path is empty")
		}
		if len(websites.wanted) > 0 && !slices.Contains(websites.wanted, value(website)) {
			c.skip("views of other websites")
			return nil
		}
		name := normalHost(value(host))
		if err := c.accept(name); err != nil {
			websites.views[umamiSite{value(website), name}]++
			return err
		}
		if query := value(query); query != "" {
			address += "?" + query
		}
		key, err := mapping.key(address)
		if err != nil {
			return err
		}
		return c.addView(mapping, key, ofPages.add(key, value(session)), ofSite.add(value(session)))
	})
}

// umamiWebsites selects the websites of a file.
type umamiWebsites struct {
	wanted []string // ids; none for the only website
	views  map[umamiSite]int64
}

type umamiSite struct{ website, host string }

// check returns an error if the file has several websites and none is wanted, or not the wanted ones.
func (u umamiWebsites) check(filter hostFilter) error {
	ids := hosts{}
	for each, n := range u.views {
		if filter.check(each.host) == nil {
			ids[each.website] += n
		}
	}
	switch {
	case len(ids) > 1 && len(u.wanted) == 0:
		return fmt.Errorf("the file has pages of several websites: %s; name with --website the website to import, and repeat --website to add up several", ids.format(nil))
	case len(ids) == 0 && len(u.wanted) > 0:
		return errors.New("the file has no page of the website that --website names")
	}
	return nil
}

// readUmamiPages reads the views of pages. The file has neither hosts nor figures of the site.
func readUmamiPages(c *collector, rows rows, at map[string]int, mapping Mapping) error {
	return rows.each(c, max(at["x"], at["y"])+1, func(row []string) error {
		if err := c.accept(""); err != nil {
			return err
		}
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
}
