package importer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/table"
	"github.com/tallycast/tallycast/internal/tally"
)

// Layout describes a CSV or JSON file of counts.
type Layout struct {
	// Topic and Count are the names of columns or members; empty for topic and count.
	Topic, Count string
	// Template makes topics of the values in Topic. Without one they are topics.
	Template Template
	// Hosts are the hosts whose pages are imported if Topic holds URLs; see [Mapping].
	Hosts []string
}

// ParseColumns parses the columns of a layout, such as topic=path and count=views.
func ParseColumns(items []string) (layout Layout, err error) {
	for _, item := range items {
		name, column, ok := strings.Cut(item, "=")
		column = strings.TrimSpace(column)
		switch {
		case ok && column != "" && name == "topic":
			layout.Topic = column
		case ok && column != "" && name == "count":
			layout.Count = column
		default:
			return layout, fmt.Errorf("%q should be topic=COLUMN or count=COLUMN, such as topic=path,count=views", item)
		}
	}
	if layout.Topic != "" && strings.EqualFold(layout.Topic, layout.Count) {
		return layout, fmt.Errorf("topic and count should be two columns, and both are %s", layout.Topic)
	}
	return layout, nil
}

func (l Layout) names() (topic, count string) {
	return cmp.Or(l.Topic, "topic"), cmp.Or(l.Count, "count")
}

// optionColumn is the name of the column of options in tables of choice metrics, and
// optionsMember that of the list of the counts of options in JSON.
const (
	optionColumn  = "option"
	optionsMember = "options"
)

// useCount adds a count to the topic of a name in a file. parse returns the count.
type useCount func(name string, parse func() (tally.Numbers, error)) error

// parseOption parses the count of one option.
func parseOption(option, count string) (tally.Numbers, error) {
	n, err := strconv.Atoi(strings.TrimSpace(option))
	if err != nil || n < 1 || n > tally.MaxOptions {
		return tally.Numbers{}, fmt.Errorf("%.100q is not an option, which is a number from 1 to %d", option, tally.MaxOptions)
	}
	counts := slices.Repeat(optionCounts{{text: "0"}}, n)
	counts[n-1].text = count
	return counts.numbers()
}

// optionCounts are the counts of the options 1, 2 and so on.
type optionCounts []scalar

func (o optionCounts) numbers() (tally.Numbers, error) {
	if len(o) > tally.MaxOptions {
		return tally.Numbers{}, fmt.Errorf("it has %d options; a metric has at most %d", len(o), tally.MaxOptions)
	}
	counts := make([]int64, len(o))
	for i, each := range o {
		var err error
		if counts[i], err = each.count(); err != nil {
			return tally.Numbers{}, fmt.Errorf("option %d: %w", i+1, err)
		}
	}
	options := tally.NewOptions(counts)
	return tally.Numbers{Total: options.Sum(), Options: options}, nil
}

// ReadCountsCSV reads a table with columns for topic and count, in any order and among others. If layout
// names no columns, a table without a header may have these in its first two columns, and a column
// option may have the option of a choice metric that a row counts.
func ReadCountsCSV(file File, layout Layout) (Result, error) {
	return layout.read("line", func(c *collector, use useCount) error {
		rows, err := openRows(file.open, "")
		if err != nil {
			return err
		}
		first := rows.header
		topicName, countName := layout.names()
		topicAt, countAt := table.Column(first, topicName), table.Column(first, countName)
		optionAt := -1
		switch headed := topicAt >= 0 && countAt >= 0; {
		case headed && (table.Column(first[topicAt+1:], topicName) >= 0 || table.Column(first[countAt+1:], countName) >= 0):
			return fmt.Errorf("its first line has two columns %s or %s", topicName, countName)
		case headed && layout.Topic == "" && layout.Count == "":
			optionAt = table.Column(first, optionColumn)
		case headed:
		case layout.Topic == "" && layout.Count == "" && len(first) > 1 && isNumeral(first[1]):
			topicAt, countAt = 0, 1
			if err := c.record("", 1, use(first[0], scalar{text: first[1]}.numbers)); err != nil {
				return err
			}
		default:
			return errNoColumns(first, topicName, countName)
		}
		return rows.each(c, max(topicAt, countAt, optionAt)+1, func(row []string) error {
			return use(row[topicAt], func() (tally.Numbers, error) {
				if optionAt < 0 || row[optionAt] == "" {
					return scalar{text: row[countAt]}.numbers()
				}
				return parseOption(row[optionAt], row[countAt])
			})
		})
	})
}

// errNoColumns returns the error of a table without the columns for topic and count, with advice.
func errNoColumns(first []string, topic, count string) error {
	advice := "name its columns with --columns, such as topic=path,count=views, and make topics of paths with --topic, such as blog/views/{1}"
	switch {
	case first[0] == "1Path" || first[0] == "2Path":
		advice = "it looks like an export of GoatCounter; import it with --format goatcounter"
	case table.Column(first, "url_path") >= 0 && table.Column(first, "session_id") >= 0:
		advice = "it looks like an export of Umami; import it with --format umami"
	}
	return fmt.Errorf("its first line should have the columns %s and %s, or be a topic and a count; it is %.300q; %s", topic, count, strings.Join(first, ", "), advice)
}

// read returns the result of the entries that each passes to use. With a template the names of entries
// may be URLs.
func (l Layout) read(unit string, each func(c *collector, use useCount) error) (Result, error) {
	return collect(unit, nil, only(l.Hosts), func(c *collector) error {
		return each(c, func(name string, parse func() (tally.Numbers, error)) error {
			host := ""
			if l.Template != (Template{}) {
				host = hostOfURL(name)
			}
			if err := c.accept(host); err != nil {
				return err
			}
			topic, err := l.Template.topic(name)
			if err != nil {
				return err
			}
			n, err := parse()
			if err != nil {
				return fmt.Errorf("%s: %w", topic, err)
			}
			return c.add(topic, n)
		})
	})
}

// isNumeral reports whether text looks like a number, which may be ambiguous.
func isNumeral(text string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.Trim(text, "0123456789.,_:+-'\u2019 \u00a0\u202fxXeE") == ""
}

// checkUTF8 returns an error if a member of an object is not UTF-8. Decoding would replace other bytes, so that
// different topics get one name.
func checkUTF8(name string, value json.RawMessage) error {
	if !utf8.Valid(value) || strings.ContainsRune(name, utf8.RuneError) { // the reader has decoded the name
		return errors.New("it is not UTF-8; save the file as UTF-8")
	}
	return nil
}

// ReadCountsJSON reads an array of objects with topic and count, or an object with topics as
// names and counts as values. If layout names no members, options is the list of counts in a
// choice metric.
func ReadCountsJSON(file File, layout Layout) (Result, error) {
	topicName, countName := layout.names()
	return layout.read("entry", func(c *collector, use useCount) error {
		text, err := file.open()
		if err != nil {
			return err
		}
		names := map[string]bool{}
		return withLine(table.NewJSONReader(text, 1).Each(func(name string, value json.RawMessage, line int) error {
			return c.record("", int64(line), func() error {
				if err := checkUTF8(name, value); err != nil {
					return err
				}
				if names[name] {
					return fmt.Errorf("%.300s: the file has it twice", name)
				}
				names[name] = name != ""
				if name == "" {
					var object map[string]json.RawMessage
					if json.Unmarshal(value, &object) != nil || json.Unmarshal(object[topicName], &name) != nil || name == "" {
						return fmt.Errorf("it is not an object with %s and %s", topicName, countName)
					}
					value = object[countName]
					if list := object[optionsMember]; list != nil && layout.Topic == "" && layout.Count == "" {
						value = list
					}
				}
				if len(value) > 0 && value[0] == '[' {
					var counts optionCounts
					if json.Unmarshal(value, &counts) != nil || len(counts) == 0 {
						return fmt.Errorf("%.300s: its options are not a list of numbers", name)
					}
					return use(name, counts.numbers)
				}
				var number scalar
				if len(value) == 0 || value[0] == '{' || json.Unmarshal(value, &number) != nil {
					return fmt.Errorf("%.300s: its count is not a number", name)
				}
				return use(name, number.numbers)
			}())
		}))
	})
}
