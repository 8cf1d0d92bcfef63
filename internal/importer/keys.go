package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallycast/tallycast/internal/numeral"
)

// key is a key of a Redis that another program filled.
type key struct {
	name string
	kind string // as Redis names it, such as string or set
	text string // the beginning of a string
	size int64  // number of elements; -1 for a string
}

// keyspace contains keys; see [redisKeys].
type keyspace interface {
	// scan passes the keys that match a pattern to each, in any order, some of them twice.
	scan(ctx context.Context, pattern pattern, each func(key) error) error
}

// KeyPatterns says which keys of a Redis are read; see [ParseKeyPatterns].
type KeyPatterns struct {
	// Hosts are the hosts whose pages are imported if keys contain URLs; see [Mapping].
	Hosts []string

	counts pattern  // of keys that hold whole numbers
	topics Template // makes topics of the parts that counts matches
	seen   *pattern // of keys that hold the visitors of a topic; may be nil
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

// ReadKeys reads the keys of the Redis at redis://[user:password@]host[:port][/database], or
// rediss:// with TLS, that hold whole numbers, and the sizes of the keys of their visitors; see
// [Count].Seen. It refuses keys of other types and other texts. Errors do not contain the
// password.
func ReadKeys(ctx context.Context, address string, patterns KeyPatterns) (result Result, err error) {
	keys, err := openRedis(address)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, keys.client.Close()) }()
	return readKeys(ctx, keys, patterns)
}

func readKeys(ctx context.Context, keys keyspace, patterns KeyPatterns) (Result, error) {
	c := newCollector("key")
	type match struct {
		key   key
		parts []string
		host  string
	}
	known := map[string]bool{} // keys that were read
	inKeys := hosts{}
	var matches []match
	err := keys.scan(ctx, patterns.counts, func(k key) error {
		parts, ok := patterns.counts.match(k.name)
		if !ok || known[k.name] {
			return nil
		}
		known[k.name] = true
		host := hostOfParts(parts)
		inKeys.add(host)
		matches = append(matches, match{k, parts, host})
		return nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the keys: %w", err)
	}
	if len(matches) == 0 {
		return Result{}, fmt.Errorf("no key matches %q", patterns.counts.text)
	}
	filter, err := inKeys.filter(patterns.Hosts)
	if err != nil {
		return Result{}, err
	}
	for _, each := range matches {
		err := filter.check(each.host)
		if err == nil {
			err = c.addKey(patterns.topics, each.parts, each.key)
		}
		if err != nil {
			err = fmt.Errorf("%.300q %w", each.key.name, err)
		}
		if err := c.record("", 0, err); err != nil {
			return Result{}, err
		}
	}
	c.noteHosts(filter)
	if patterns.seen == nil {
		return c.sorted(), nil
	}
	clear(known)
	err = keys.scan(ctx, *patterns.seen, func(k key) error {
		parts, ok := patterns.seen.match(k.name)
		if !ok || known[k.name] {
			return nil
		}
		known[k.name] = true
		if filter.check(hostOfParts(parts)) != nil {
			return nil
		}
		return c.addSeen(patterns.topics, parts, k)
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the keys of visitors: %w", err)
	}
	return c.sorted(), nil
}

// addKey adds the count of a key.
func (c *collector) addKey(template Template, parts []string, k key) error {
	if k.kind != "string" {
		return fmt.Errorf("is a %s and should be a string with a number", k.kind)
	}
	topic, err := template.topic(parts...)
	if err != nil {
		return fmt.Errorf("names no topic: %w", err)
	}
	n, err := numeral.Parse(k.text)
	if err != nil {
		return fmt.Errorf("holds no count: %w", err)
	}
	c.add(topic, n)
	return nil
}

// addSeen adds the visitors that a key holds to those of its topic.
func (c *collector) addSeen(template Template, parts []string, k key) error {
	topic, err := template.topic(parts...)
	switch {
	case err != nil:
		c.skip("keys of visitors that name no topic")
	case k.size < 0:
		c.skip("keys of visitors that hold none")
	case c.found[topic] == nil:
		c.skip("keys of visitors of topics without a count")
	default:
		count := c.found[topic]
		count.Seen = max(0, count.Seen) + k.size
	}
	return nil
}

// ParseKeyPatterns parses patterns and a template; seen may be empty.
func ParseKeyPatterns(counts, topics, seen string) (KeyPatterns, error) {
	var p KeyPatterns
	var err error
	if p.counts, err = parsePattern(counts); err != nil {
		return p, err
	}
	if p.topics, err = ParseTemplate(topics, p.counts.stars()); err != nil {
		return p, err
	}
	if seen == "" {
		return p, nil
	}
	visitors, err := parsePattern(seen)
	if err == nil && visitors.stars() != p.counts.stars() {
		err = errors.New("it should have as many * as the pattern of counts")
	}
	if err != nil {
		return p, fmt.Errorf("the pattern of visitors: %w", err)
	}
	p.seen = &visitors
	return p, nil
}
