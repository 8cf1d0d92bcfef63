package exchange

import (
	"errors"
	"fmt"
	"io"
)

// pageview is Umami's event_type of a view; others are events and the like.
const pageview = "1"

// ReadUmami reads what Umami exports: website_event.csv, a row an event, or pages.csv
// of its overview, a row a page with its views in columns x and y.
// (https://github.com/umami-software/umami; its columns stand in db/clickhouse/schema.sql.)
// A page's visitors are the sessions that viewed it, those of the site all of them.
func ReadUmami(r io.Reader, naming Naming) (Counts, error) {
	a := newAdder("line")
	rows := newRows(r)
	header, _, err := rows.next()
	if err != nil {
		return Counts{}, fmt.Errorf("read Umami's export: %w", err)
	}
	if at, err := columns(header, "x", "y"); err == nil {
		return readUmamiPages(a, rows, at, naming)
	}
	at, err := columns(header, "session_id", "hostname", "url_path", "url_query", "event_type")
	if err != nil {
		return Counts{}, fmt.Errorf("an export of Umami is website_event.csv or pages.csv: %w", err)
	}
	width := max(at["session_id"], at["hostname"], at["url_path"], at["url_query"], at["event_type"]) + 1
	ofPages, ofSite := newDistinct(), newDistinct()
	err = rows.each(a, width, func(line int64, row []string) error {
		if row[at["event_type"]] != pageview {
			a.leaveOut("events")
			return nil
		}
		path, session := row[at["url_path"]], row[at["session_id"]]
		if path == "" {
			return errors.New("its url_path is empty")
		}
		if query := row[at["url_query"]]; query != "" {
			path += "?" + query
		}
		a.hosts[row[at["hostname"]]]++
		key, err := naming.page(row[at["hostname"]], path)
		if err != nil {
			return err
		}
		return a.view(naming, key, ofPages.add(key, session), ofSite.add(session))
	})
	if err != nil {
		return Counts{}, err
	}
	return a.counts(), a.oneHost(naming)
}

// readUmamiPages reads views by page. What is counted of the whole site does not stand
// there.
func readUmamiPages(a *adder, rows *rows, at map[string]int, naming Naming) (Counts, error) {
	err := rows.each(a, max(at["x"], at["y"])+1, func(line int64, row []string) error {
		n, err := parseCount(row[at["y"]])
		if err != nil {
			return err
		}
		key, err := naming.page("", row[at["x"]])
		if err != nil {
			return err
		}
		return a.figure(naming, FigureViews, key, n)
	})
	return a.counts(), err
}

// figure adds n to a figure of a page.
func (a *adder) figure(naming Naming, figure, key string, n int64) error {
	if err := checkCount(n); err != nil {
		return err
	}
	topic, wanted, err := naming.topic(figure, key)
	if err == nil && wanted {
		a.add(topic, n)
	}
	return err
}
