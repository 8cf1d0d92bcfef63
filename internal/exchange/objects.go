package exchange

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// ReadApplause reads claps by page as the server of applause-button answers them to
// POST /get-multiple, [{"url":"blog.example.com/post","claps":12}], and as its table is
// exported from DynamoDB: an object a line, {"Item":{"url":{"S":"…"},"claps":{"N":"12"}}}, or
// {"Items":[…]} of such. (https://github.com/ColinEberhardt/applause-button-server)
func ReadApplause(r io.Reader, naming Naming) (Counts, error) {
	a := newAdder("entry")
	err := eachObject(r, "Items", func(entry int64, text json.RawMessage) {
		a.result.Entries++
		var o struct {
			URL   attribute `json:"url"`
			Claps attribute `json:"claps"`
			Item  *struct {
				URL   attribute `json:"url"`
				Claps attribute `json:"claps"`
			}
		}
		err := json.Unmarshal(text, &o)
		if o.Item != nil {
			o.URL, o.Claps = o.Item.URL, o.Item.Claps
		}
		if err != nil || o.URL == "" || o.Claps == "" {
			a.refuse(entry, errors.New("it is no object with url and claps"))
			return
		}
		a.entry(entry, naming, string(o.URL), map[string]string{FigureClaps: string(o.Claps)})
	})
	if err != nil {
		return Counts{}, fmt.Errorf("read claps: %w", err)
	}
	return a.counts(), a.oneHost(naming)
}

// attribute is a text or a number, as such or in the form of DynamoDB, {"S":"…"}.
type attribute string

// UnmarshalJSON implements [json.Unmarshaler].
func (a *attribute) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '{' {
		var typed struct{ S, N string }
		if err := json.Unmarshal(text, &typed); err != nil {
			return err
		}
		*a = attribute(typed.S + typed.N)
		return nil
	}
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(a))
	}
	if !bytes.Equal(text, []byte("null")) {
		*a = attribute(text)
	}
	return nil
}

// ReadBusuanzi reads what busuanzi and its successors answer for pages: objects with
// page_pv, site_pv and site_uv, of which some have page_uv, as people gather them, with
// "url" for the page (such as https://github.com/uuanqin/busuanzi2waline writes). One answer
// may also stand alone, as JSON, in "data", or as JSONP; without its page's address it tells of the
// site alone. Figures of the site stand in each object: the greatest holds.
func ReadBusuanzi(r io.Reader, naming Naming) (Counts, error) {
	a := newAdder("entry")
	err := eachObject(r, "data", func(entry int64, text json.RawMessage) {
		a.result.Entries++
		var o struct {
			URL    string `json:"url"`
			PagePV *int64 `json:"page_pv"`
			PageUV *int64 `json:"page_uv"`
			SitePV *int64 `json:"site_pv"`
			SiteUV *int64 `json:"site_uv"`
		}
		if err := json.Unmarshal(text, &o); err != nil || (o.PagePV == nil && o.SitePV == nil) {
			a.refuse(entry, errors.New("it is no object with page_pv or site_pv, each a whole number"))
			return
		}
		for figure, n := range map[string]*int64{FigureViews: o.SitePV, FigureVisitors: o.SiteUV} {
			if n == nil {
				continue
			}
			err := checkCount(*n)
			topic, wanted, wrong := naming.topic(figure, wholeSite)
			if err = errors.Join(err, wrong); err != nil {
				a.refuse(entry, err)
				return
			}
			if wanted {
				a.atLeast(topic, *n)
			}
		}
		if o.URL == "" {
			if o.PagePV != nil {
				a.leaveOut("pages without address")
			}
			return
		}
		figures := map[string]string{}
		for figure, n := range map[string]*int64{FigureViews: o.PagePV, FigureVisitors: o.PageUV} {
			if n != nil {
				figures[figure] = fmt.Sprint(*n)
			}
		}
		a.entry(entry, naming, o.URL, figures)
	})
	if err != nil {
		return Counts{}, fmt.Errorf("read busuanzi's answers: %w", err)
	}
	return a.counts(), a.oneHost(naming)
}

// entry adds the figures of a page that is named by its address.
func (a *adder) entry(entry int64, naming Naming, address string, figures map[string]string) {
	host, path, err := splitAddress(address)
	if err == nil && host != "" {
		a.hosts[host]++
	}
	key := ""
	if err == nil {
		key, err = naming.page(host, path)
	}
	if errors.Is(err, errOtherHost) {
		a.leaveOut("pages of other hosts")
		return
	}
	for figure, text := range figures {
		if err != nil {
			break
		}
		var n int64
		if n, err = parseCount(text); err == nil {
			err = a.figure(naming, figure, key, n)
		}
	}
	if err != nil {
		a.refuse(entry, fmt.Errorf("%.300s: %w", address, err))
	}
}

// jsonp is what stands before the value in an answer that calls a function.
var jsonp = regexp.MustCompile(`^\s*(try\s*\{)?\s*[\w$.]+\s*\(`)

// eachObject hands over objects with their numbers from 1: the elements of an array, those
// of the member that is named within, objects that follow each other, or a single one. A
// function that is called with the value is left out.
func eachObject(r io.Reader, within string, each func(entry int64, text json.RawMessage)) error {
	buffered := bufio.NewReaderSize(r, readBytes)
	head, err := buffered.Peek(256) // the name of a function is shorter
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if called := jsonp.Find(head); called != nil {
		_, _ = buffered.Discard(len(called)) // it was peeked
		var text json.RawMessage
		if err := json.NewDecoder(buffered).Decode(&text); err != nil {
			return fmt.Errorf("it is no JSON: %w", err)
		}
		each(1, text)
		return nil
	}
	if text := bytes.TrimLeft(head, " \t\r\n"); len(text) > 0 && text[0] == '[' {
		return eachJSON(buffered, func(entry int64, _ string, text json.RawMessage) { each(entry, text) })
	}
	decoder := json.NewDecoder(buffered)
	for entry := int64(1); ; {
		var text json.RawMessage
		if err := decoder.Decode(&text); errors.Is(err, io.EOF) && entry > 1 {
			return nil
		} else if err != nil {
			return fmt.Errorf("entry %d: %w", entry, err)
		}
		var members map[string]json.RawMessage
		_ = json.Unmarshal(text, &members) // what is no object is refused by each
		inner := bytes.TrimSpace(members[within])
		switch {
		case len(inner) > 0 && inner[0] == '[':
			err := eachJSON(bytes.NewReader(inner), func(_ int64, _ string, text json.RawMessage) {
				each(entry, text)
				entry++
			})
			if err != nil {
				return err
			}
		case len(inner) > 0 && inner[0] == '{':
			each(entry, inner)
			entry++
		default:
			each(entry, text)
			entry++
		}
	}
}
