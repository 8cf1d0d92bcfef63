package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallycast/tallycast/internal/numeral"
)

// Key is a key of a Redis that another program filled.
type Key struct {
	Name string
	Type string // as Redis names it, such as string or set
	Text string // the beginning of a string
	Size int64  // number of elements; -1 for a string
}

// Keyspace contains keys; see [Redis].
type Keyspace interface {
	// Scan passes the keys that match a pattern to each, in any order, some of them twice.
	Scan(ctx context.Context, pattern Pattern, each func(Key) error) error
}

// KeyPatterns says which keys are read.
type KeyPatterns struct {
	Counts Pattern  // of keys that hold whole numbers
	Topics Template // makes topics of the parts that Counts matches
	// Seen is the pattern of keys that hold the visitors of a topic, with the same parts
	// as Counts; may be nil.
	Seen *Pattern
	// Hosts are the hosts whose pages are imported if Counts matches URLs; see [Mapping].
	Hosts []string
}

// hostOfParts returns the host of the first part that is a URL.
func hostOfParts(parts []string) string {
	for _, part := range parts {
		if host := hostOfURL(part); host != "" {
			return host
		}
	}
	return ""
}

// ReadKeys reads keys that hold whole numbers, and the sizes of the keys of their visitors;
// see [Count].Seen. It refuses keys of other types and other texts.
func ReadKeys(ctx context.Context, keyspace Keyspace, options KeyPatterns) (Result, error) {
	c := newCollector("key")
	type match struct {
		key   Key
		parts []string
		host  string
	}
	known := map[string]bool{} // keys that were read
	inKeys := hosts{}
	var matches []match
	err := keyspace.Scan(ctx, options.Counts, func(k Key) error {
		parts, ok := options.Counts.Match(k.Name)
		if !ok || known[k.Name] {
			return nil
		}
		known[k.Name] = true
		host := hostOfParts(parts)
		inKeys.add(host)
		matches = append(matches, match{k, parts, host})
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the keys: %w", err)
	}
	if len(matches) == 0 {
		return Result{}, fmt.Errorf("no key matches %q", options.Counts.text)
	}
	filter, err := inKeys.filter(options.Hosts)
	if err != nil {
		return Result{}, err
	}
	for _, each := range matches {
		err := filter.check(each.host)
		if err == nil {
			err = c.addKey(options.Topics, each.parts, each.key)
		}
		if err != nil {
			err = fmt.Errorf("%.300q %w", each.key.Name, err)
		}
		if err := c.record("", 0, err); err != nil {
			return Result{}, err
		}
	}
	c.noteHosts(filter)
	if options.Seen == nil {
		return c.sorted(), nil
	}
	clear(known)
	err = keyspace.Scan(ctx, *options.Seen, func(k Key) error {
		parts, ok := options.Seen.Match(k.Name)
		if !ok || known[k.Name] {
			return nil
		}
		known[k.Name] = true
		if filter.check(hostOfParts(parts)) != nil {
			return nil
		}
		return c.addSeen(options.Topics, parts, k)
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the keys of visitors: %w", err)
	}
	return c.sorted(), nil
}

// addKey adds the count of a key.
func (c *collector) addKey(template Template, parts []string, k Key) error {
	if k.Type != "string" {
		return fmt.Errorf("is a %s and should be a string with a number", k.Type)
	}
	topic, err := template.topic(parts...)
	if err != nil {
		return fmt.Errorf("names no topic: %w", err)
	}
	n, err := numeral.Parse(k.Text)
	if err != nil {
		return fmt.Errorf("holds no count: %w", err)
	}
	c.add(topic, n)
	return nil
}

// addSeen adds the visitors that a key holds to those of its topic.
func (c *collector) addSeen(template Template, parts []string, k Key) error {
	topic, err := template.topic(parts...)
	switch {
	case err != nil:
		c.skip("keys of visitors that name no topic")
	case k.Size < 0:
		c.skip("keys of visitors that hold none")
	case c.found[topic] == nil:
		c.skip("keys of visitors of topics without a count")
	default:
		count := c.found[topic]
		count.Seen = max(0, count.Seen) + k.Size
	}
	return nil
}

// ParseKeyPatterns parses patterns and a template; seen may be empty.
func ParseKeyPatterns(counts, topics, seen string) (KeyPatterns, error) {
	var p KeyPatterns
	var err error
	if p.Counts, err = ParsePattern(counts); err != nil {
		return p, err
	}
	if p.Topics, err = ParseTemplate(topics, p.Counts.Parts()); err != nil {
		return p, err
	}
	if seen == "" {
		return p, nil
	}
	pattern, err := ParsePattern(seen)
	if err == nil && pattern.Parts() != p.Counts.Parts() {
		err = errors.New("it should have as many * as the pattern of counts")
	}
	if err != nil {
		return p, fmt.Errorf("the pattern of visitors: %w", err)
	}
	p.Seen = &pattern
	return p, nil
}
