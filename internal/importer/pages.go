package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/table"
	"github.com/tallycast/tallycast/internal/tally"
)

// ReadApplause reads claps by page: answers of the applause-button server to POST
// /get-multiple, [{"url":"blog.example.com/post","claps":12}], and its table as DynamoDB
// exports it, lines of {"Item":{"url":{"S":"…"},"claps":{"N":"12"}}} or {"Items":[…]}.
// (https://github.com/ColinEberhardt/applause-button-server)
func ReadApplause(file File, mapping Mapping) (Result, error) {
	type claps struct {
		URL   scalar `json:"url"`
		Claps scalar `json:"claps"`
	}
	return readPages(file, mapping, "Items", func(text json.RawMessage) (page, error) {
		var o struct {
			claps
			Item *claps
		}
		err := json.Unmarshal(text, &o)
		if o.Item != nil {
			o.claps = *o.Item
		}
		if err != nil || o.URL.text == "" || o.Claps.text == "" {
			return page{}, errors.New("it is not an object with url and claps")
		}
		return page{o.URL.text, []figure{{name: figureClaps, value: o.Claps}}}, nil
	})
}

// ReadBusuanzi reads answers of busuanzi and its successors: objects with page_pv, site_pv,
// site_uv and sometimes page_uv, to which people add the page as "url" (as
// https://github.com/uuanqin/busuanzi2waline does). A file may be one answer: JSON, within
// "data", or JSONP. Each object repeats the figures of the site; the greatest is imported.
func ReadBusuanzi(file File, mapping Mapping) (Result, error) {
	return readPages(file, mapping, "data", func(text json.RawMessage) (page, error) {
		var o struct {
			URL    string `json:"url"`
			PagePV scalar `json:"page_pv"`
			PageUV scalar `json:"page_uv"`
			SitePV scalar `json:"site_pv"`
			SiteUV scalar `json:"site_uv"`
		}
		if err := json.Unmarshal(text, &o); err != nil || o.PagePV.text == "" && o.SitePV.text == "" {
			return page{}, errors.New("it is not an object with page_pv or site_pv")
		}
		return page{o.URL, []figure{
			{name: figureViews, value: o.PagePV}, {name: figureVisitors, value: o.PageUV},
			{name: figureViews, value: o.SitePV, ofSite: true}, {name: figureVisitors, value: o.SiteUV, ofSite: true},
		}}, nil
	})
}

// scalar is a JSON string or number, plain or as DynamoDB writes it, {"S":"…"}.
type scalar struct {
	text     string
	isNumber bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (s *scalar) UnmarshalJSON(text []byte) error {
	switch {
	case bytes.Equal(text, []byte("null")):
		return nil
	case text[0] == '{':
		var typed struct{ S, N string }
		if err := json.Unmarshal(text, &typed); err != nil {
			return err
		}
		s.text = typed.S + typed.N
		return nil
	case text[0] == '"':
		return json.Unmarshal(text, &s.text)
	}
	s.text, s.isNumber = string(text), true
	return nil
}

// count returns the count that the scalar states.
func (s scalar) count() (int64, error) {
	if s.isNumber {
		return numeral.ParseJSON(s.text)
	}
	return numeral.Parse(s.text)
}

func (s scalar) numbers() (tally.Numbers, error) {
	n, err := s.count()
	return tally.Numbers{Total: n}, err
}

// page is an object with the figures of a page and of its site.
type page struct {
	address string // empty: of the site alone
	figures []figure
}

type figure struct {
	name   string
	value  scalar // may be empty
	ofSite bool
}

// readPages reads the objects of a file, see [File.eachObject].
func readPages(file File, mapping Mapping, within string, read func(text json.RawMessage) (page, error)) (Result, error) {
	return collect("entry", errors.New("the file has no entries"), only(mapping.Hosts), func(c *collector) error {
		return file.eachObject(within, func(text json.RawMessage, line int) error {
			err := checkUTF8("", text)
			if err == nil {
				var p page
				if p, err = read(text); err == nil {
					err = c.addPage(mapping, p)
				}
			}
			return c.record("", int64(line), err)
		})
	})
}

// addPage adds the figures of a page and of its site. After an error it has added none.
func (c *collector) addPage(mapping Mapping, p page) error {
	host, path, key := "", "", ""
	var err error
	if p.address != "" {
		if host, path, err = splitAddress(p.address); err != nil {
			return err
		}
	}
	if err := c.accept(host); err != nil {
		return err
	}
	if p.address != "" {
		if key, err = mapping.key(path); err != nil {
			return err
		}
	}
	counts := make([]int64, len(p.figures))
	for i, each := range p.figures {
		if each.value.text == "" {
			continue
		}
		if counts[i], err = each.value.count(); err != nil {
			return fmt.Errorf("%.300s: %w", p.address, err)
		}
	}
	hasNoPage := false
	for i, each := range p.figures {
		switch {
		case each.value.text == "":
		case each.ofSite:
			err = c.raiseFigure(mapping, each.name, counts[i])
		case p.address == "":
			hasNoPage = true
		default:
			err = c.addFigure(mapping, each.name, key, counts[i])
		}
		if err != nil {
			return err
		}
	}
	if hasNoPage {
		c.skip("pages without address")
	}
	return nil
}

// jsonpCall matches the beginning of JSONP: the call of a function.
var jsonpCall = regexp.MustCompile(`^\s*(try\s*\{)?\s*[\w$.]+\s*\(`)

// eachObject passes the objects of a file, and the lines on which they begin, to use: the elements of an
// array, objects one after the other, or the argument of a JSONP call. If an object has a member called
// within, it passes the elements of this member, or the object in it, instead.
func (f File) eachObject(within string, use func(text json.RawMessage, line int) error) error {
	text, err := f.open()
	if err != nil {
		return err
	}
	head, err := text.Peek(256) // longer than the name of a function
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	call := jsonpCall.Find(head)
	_, _ = text.Discard(len(call)) // it was peeked
	r := table.NewJSONReader(text, 1+bytes.Count(call, []byte("\n")))
	if trimmed := bytes.TrimLeft(head, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return withLine(r.Each(func(_ string, text json.RawMessage, line int) error { return use(text, line) }))
	}
	for first := true; ; first = false {
		opening, err := r.Token()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return nil
		case err != nil:
			err = r.Malformed(err)
		default:
			err = eachWithin(r, opening, within, use)
		}
		if err != nil || call != nil {
			return withLine(err)
		}
	}
}

// eachWithin passes an object, whose first token was read, to use; or, if the object has a member called
// within, the object or the elements of the array in this member. Memory holds one element at a time.
func eachWithin(r *table.JSONReader, opening json.Token, within string, use func(text json.RawMessage, line int) error) error {
	begin := r.Line()
	if opening != json.Delim('{') {
		return &table.RowError{Line: begin, Err: errors.New("an object should begin here")}
	}
	outer := map[string]json.RawMessage{}
	object := outer
	for r.More() {
		name, err := r.Token()
		if err != nil {
			return r.Malformed(err)
		}
		if name != within {
			var value json.RawMessage
			if err := r.Decode(&value); err != nil {
				return r.Malformed(err)
			}
			key, _ := name.(string) // names of members are strings
			outer[key] = value
			continue
		}
		opening, err := r.Token()
		switch {
		case err != nil:
			return r.Malformed(err)
		case opening == json.Delim('['):
			object = nil
			err = r.EachOf(opening, func(_ string, text json.RawMessage, line int) error { return use(text, line) })
		case opening == json.Delim('{'):
			object = map[string]json.RawMessage{}
			err = r.EachOf(opening, func(name string, value json.RawMessage, _ int) error { object[name] = value; return nil })
		}
		if err != nil {
			return err
		}
	}
	if _, err := r.Token(); err != nil || object == nil {
		return r.Malformed(err)
	}
	text, _ := json.Marshal(object) // values that were decoded do not fail
	return use(text, begin)
}

// withLine adds the line to the message of a [table.RowError].
func withLine(err error) error {
	if row, ok := errors.AsType[*table.RowError](err); ok {
		return fmt.Errorf("line %d: %w", row.Line, row.Err)
	}
	return err
}
