package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/tally"
)

// Key is a key of a key-value store that another program filled.
type Key struct {
	Name string
	Type string // as Redis calls it, such as string or set
	Text string // of a string
	Size int64  // how many elements it has; below 0 for a string that counts none
}

// Keyspace is such a store.
type Keyspace interface {
	// Scan passes the keys that match a pattern to each, in any order, some maybe twice.
	Scan(ctx context.Context, pattern Pattern, each func(Key) error) error
}

// KeyPatterns says which keys are read, and how.
type KeyPatterns struct {
	Counts Pattern  // of keys that hold a whole number
	Topics Template // makes topics of what Counts matches
	// Seen, where not nil, is the pattern of keys that hold a topic's visitors, in which
	// each * stands for what the one in Counts does.
	Seen *Pattern
	// Hosts, if not empty, are those whose pages are taken where Counts matches URLs.
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

// ReadKeys reads counters that are kept as whole numbers in keys. Keys of another
// type, or without a whole number, are refused. Who was seen is counted, and compared
// with the number: see [Count].Seen.
func ReadKeys(ctx context.Context, keyspace Keyspace, options KeyPatterns) (Result, error) {
	a := newCollector("key")
	type match struct {
		key   Key
		parts []string
		host  string
	}
	known := map[string]bool{} // keys that were read
	named := hosts{}
	var matches []match
	err := keyspace.Scan(ctx, options.Counts, func(k Key) error {
		parts, ok := options.Counts.Match(k.Name)
		if !ok || known[k.Name] {
			return nil
		}
		known[k.Name] = true
		host := hostOfParts(parts)
		named.add(host)
		matches = append(matches, match{k, parts, host})
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the keys: %w", err)
	}
	if len(matches) == 0 {
		return Result{}, fmt.Errorf("no key matches %q", options.Counts.text)
	}
	chosen, err := named.filter(options.Hosts)
	if err != nil {
		return Result{}, err
	}
	for _, each := range matches {
		err := chosen.check(each.host)
		if err == nil {
			err = a.addKey(options.Topics, each.parts, each.key)
		}
		if err != nil {
			err = fmt.Errorf("%.300q %w", each.key.Name, err)
		}
		if err := a.record("", 0, err); err != nil {
			return Result{}, err
		}
	}
	a.noteHosts(chosen)
	if options.Seen == nil {
		return a.sorted(), nil
	}
	clear(known)
	err = keyspace.Scan(ctx, *options.Seen, func(k Key) error {
		parts, ok := options.Seen.Match(k.Name)
		if !ok || known[k.Name] {
			return nil
		}
		known[k.Name] = true
		if chosen.check(hostOfParts(parts)) != nil {
			return nil
		}
		return a.addSeen(options.Topics, parts, k)
	})
	if err != nil {
		return Result{}, fmt.Errorf("read who was seen: %w", err)
	}
	return a.sorted(), nil
}

// addKey adds the count of a key.
func (a *collector) addKey(template Template, parts []string, k Key) error {
	if k.Type != "string" {
		return fmt.Errorf("is a %s and no number", k.Type)
	}
	topic, err := template.topic(parts...)
	if err != nil {
		return fmt.Errorf("names no topic: %w", err)
	}
	n, err := numeral.Parse(k.Text)
	if err != nil {
		return fmt.Errorf("holds no count: %w", err)
	}
	a.add(topic, n)
	return nil
}

// addSeen notes how many visitors a key holds.
func (a *collector) addSeen(template Template, parts []string, k Key) error {
	topic, err := template.topic(parts...)
	switch {
	case err != nil:
		a.skip("keys of who was seen, of no topic")
	case k.Size < 0:
		a.skip("keys of who was seen that hold none")
	case a.found[topic] == nil:
		a.skip("keys of who was seen, of topics without a count")
	default:
		c := a.found[topic]
		c.Seen = max(0, c.Seen) + k.Size
	}
	return nil
}

// ParseKeyPatterns reads the texts of [KeyPatterns]; seen may be empty.
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
		err = errors.New("it should have as many * as the pattern of the counts")
	}
	if err != nil {
		return p, fmt.Errorf("who was seen: %w", err)
	}
	p.Seen = &pattern
	return p, nil
}

// Sum returns what the counts are together, and what [Count].Seen is, of those that have it.
func (c Result) Sum() (counts, seen int64) {
	for _, each := range c.Counts {
		counts += each.Count
		seen += max(0, each.Seen)
	}
	return counts, seen
}

// Topics returns the topics of the counts.
func (c Result) Topics() []tally.Topic {
	topics := make([]tally.Topic, len(c.Counts))
	for i, each := range c.Counts {
		topics[i] = each.Topic
	}
	return topics
}
