package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"

	"github.com/tallycast/tallycast/internal/numeral"
)

// ReadApplause reads claps by page as the server of applause-button answers them to
// POST /get-multiple, [{"url":"blog.example.com/post","claps":12}], and as its table is
// exported from DynamoDB: an object a line, {"Item":{"url":{"S":"…"},"claps":{"N":"12"}}}, or
// {"Items":[…]} of such. (https://github.com/ColinEberhardt/applause-button-server)
func ReadApplause(file File, naming Mapping) (Result, error) {
	return readPages(file, naming, "Items", func(text json.RawMessage) (page, error) {
		var o struct {
			URL   scalar `json:"url"`
			Claps scalar `json:"claps"`
			Item  *struct {
				URL   scalar `json:"url"`
				Claps scalar `json:"claps"`
			}
		}
		err := json.Unmarshal(text, &o)
		if o.Item != nil {
			o.URL, o.Claps = o.Item.URL, o.Item.Claps
		}
		if err != nil || o.URL.text == "" || o.Claps.text == "" {
			return page{}, errors.New("it is no object with url and claps")
		}
		return page{address: o.URL.text, figures: map[string]scalar{FigureClaps: o.Claps}}, nil
	})
}

// scalar is a text or a number, as such or in the form of DynamoDB, {"S":"…"}.
type scalar struct {
	text     string
	isNumber bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (a *scalar) UnmarshalJSON(text []byte) error {
	switch {
	case bytes.Equal(text, []byte("null")):
		return nil
	case text[0] == '{':
		var typed struct{ S, N string }
		if err := json.Unmarshal(text, &typed); err != nil {
			return err
		}
		a.text = typed.S + typed.N
		return nil
	case text[0] == '"':
		return json.Unmarshal(text, &a.text)
	}
	a.text, a.isNumber = string(text), true
	return nil
}

// count returns the count that the attribute holds.
func (a scalar) count() (int64, error) {
	if a.isNumber {
		return numeral.ParseJSON(a.text)
	}
	return numeral.Parse(a.text)
}

// ReadBusuanzi reads what busuanzi and its successors answer for pages: objects with
// page_pv, site_pv and site_uv, of which some have page_uv, as people gather them, with
// "url" for the page (such as https://github.com/uuanqin/busuanzi2waline writes). One answer
// may also stand alone, as JSON, in "data", or as JSONP; without its page's address it tells of the
// site alone. Figures of the site stand in each object: the greatest holds.
func ReadBusuanzi(file File, naming Mapping) (Result, error) {
	return readPages(file, naming, "data", func(text json.RawMessage) (page, error) {
		var o struct {
			URL    string `json:"url"`
			PagePV scalar `json:"page_pv"`
			PageUV scalar `json:"page_uv"`
			SitePV scalar `json:"site_pv"`
			SiteUV scalar `json:"site_uv"`
		}
		if err := json.Unmarshal(text, &o); err != nil || o.PagePV.text == "" && o.SitePV.text == "" {
			return page{}, errors.New("it is no object with page_pv or site_pv")
		}
		return page{
			address: o.URL,
			figures: map[string]scalar{FigureViews: o.PagePV, FigureVisitors: o.PageUV},
			site:    map[string]scalar{FigureViews: o.SitePV, FigureVisitors: o.SiteUV},
		}, nil
	})
}

// page is what an object tells of a page and of its site.
type page struct {
	address       string // empty: of the site alone
	figures, site map[string]scalar
}

// readPages reads the objects of a file, each of which tells of a page.
func readPages(file File, naming Mapping, within string, read func(text json.RawMessage) (page, error)) (Result, error) {
	named := hosts{}
	err := file.eachObject(within, func(_ int64, text json.RawMessage) error {
		p, err := read(text)
		if host, _, wrong := splitAddress(p.address); err == nil && wrong == nil {
			named.add(host)
		}
		return nil
	})
	if err != nil {
		return Result{}, err
	}
	chosen, err := named.filter(naming.Hosts)
	if err != nil {
		return Result{}, err
	}
	a := newCollector("entry")
	err = file.eachObject(within, func(line int64, text json.RawMessage) error {
		p, err := read(text)
		if err == nil {
			err = a.addPage(naming, chosen, p)
		}
		return a.record("", line, err)
	})
	if err == nil && a.result.Entries == 0 {
		err = errors.New("the file has no entries")
	}
	a.noteHosts(chosen)
	return a.sorted(), err
}

// addPage adds the figures of a page and of its site, all of them or none.
func (a *collector) addPage(naming Mapping, chosen hostFilter, p page) error {
	host, path, key := "", "", ""
	var err error
	if p.address != "" {
		if host, path, err = splitAddress(p.address); err != nil {
			return err
		}
	}
	if err := chosen.check(host); err != nil {
		return err
	}
	if p.address != "" {
		if key, err = naming.page(path); err != nil {
			return err
		}
	}
	figures, err := countsOf(p.figures)
	if err != nil {
		return fmt.Errorf("%.300s: %w", p.address, err)
	}
	site, err := countsOf(p.site)
	if err != nil {
		return err
	}
	if p.address == "" {
		if len(figures) > 0 {
			a.skip("pages without address")
		}
		figures = nil
	}
	for figure, n := range figures {
		if err := a.addFigure(naming, figure, key, n); err != nil {
			return err
		}
	}
	for figure, n := range site {
		topic, wanted, err := naming.topic(figure, wholeSite)
		if err != nil {
			return err
		}
		if wanted {
			a.atLeast(topic, n)
		}
	}
	return nil
}

// countsOf returns the counts of the attributes that are not empty.
func countsOf(figures map[string]scalar) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, figure := range slices.Sorted(maps.Keys(figures)) {
		if figures[figure].text == "" {
			continue
		}
		n, err := figures[figure].count()
		if err != nil {
			return nil, err
		}
		counts[figure] = n
	}
	return counts, nil
}

// jsonp is what precedes the value in an answer that calls a function.
var jsonp = regexp.MustCompile(`^\s*(try\s*\{)?\s*[\w$.]+\s*\(`)

// eachObject passes objects to each, with the lines on which they begin: the elements of an
// array, those of the member that is named within, objects that follow each other, or a
// single one. A function that is called with the value is left out.
func (f File) eachObject(within string, each func(line int64, text json.RawMessage) error) error {
	text, err := f.open()
	if err != nil {
		return err
	}
	head, err := text.Peek(256) // the name of a function is shorter
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	called := jsonp.Find(head)
	_, _ = text.Discard(len(called)) // it was peeked
	lines := newLineCounter(text)
	lines.line += int64(bytes.Count(called, []byte("\n")))
	decoder := json.NewDecoder(lines)
	if trimmed := bytes.TrimLeft(head, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return eachElement(decoder, lines, func(line int64, _ string, text json.RawMessage) error { return each(line, text) })
	}
	for first := true; ; first = false {
		err := eachWithin(decoder, lines, within, each)
		switch {
		case errors.Is(err, io.EOF) && !first:
			return nil
		case err != nil:
			return fmt.Errorf("line %d: it is no JSON: %w", lines.at(decoder.InputOffset()), err)
		case called != nil:
			return nil
		}
	}
}

// eachWithin passes on what the next value of a text holds in the member that is named
// within, else the value itself.
func eachWithin(decoder *json.Decoder, lines *lineCounter, within string, each func(line int64, text json.RawMessage) error) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	begin := lines.at(decoder.InputOffset())
	if token != json.Delim('{') {
		return errors.New("an object should stand here")
	}
	outer := map[string]json.RawMessage{}
	object := outer // what is passed on: outer, or what is within it; nil if that is a list
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if name == within {
			value, err := decoder.Token()
			if err != nil {
				return err
			}
			if value != json.Delim('[') {
				if object, err = members(decoder, value); err != nil {
					return err
				}
				continue
			}
			for decoder.More() {
				var text json.RawMessage
				if err := decoder.Decode(&text); err != nil {
					return err
				}
				if err := each(lines.at(decoder.InputOffset()-int64(len(text))), text); err != nil {
					return err
				}
			}
			if _, err := decoder.Token(); err != nil {
				return err
			}
			object = nil
			continue
		}
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return err
		}
		key, _ := name.(string) // names of members are strings
		outer[key] = text
	}
	if _, err := decoder.Token(); err != nil || object == nil {
		return err
	}
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return each(begin, text)
}

// members returns the members of an object whose first token was read; none for another
// value.
func members(decoder *json.Decoder, first json.Token) (map[string]json.RawMessage, error) {
	object := map[string]json.RawMessage{}
	if first != json.Delim('{') {
		return object, nil
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var text json.RawMessage
		if err := decoder.Decode(&text); err != nil {
			return nil, err
		}
		key, _ := name.(string) // names of members are strings
		object[key] = text
	}
	_, err := decoder.Token()
	return object, err
}
