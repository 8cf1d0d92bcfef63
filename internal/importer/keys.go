package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/tally"
)

// key is a key in the Redis of another counter.
type key struct {
	name string
	kind string // as Redis names it, such as string or set
	text string // the beginning of a string
	size int64  // number of elements; -1 for a string
}

// KeyPatterns selects the keys of a Redis that are read; see [ParseKeyPatterns].
type KeyPatterns struct {
	// Hosts are the hosts whose pages are imported if keys contain URLs; see [Mapping].
	Hosts []string

	counts pattern  // of keys that hold whole numbers
	topics Template // makes topics from the parts of names that counts matches
	seen   *pattern // of keys that hold the visitors of a topic; may be nil
}

// ReadKeys reads the keys that hold whole numbers in the Redis at
// redis://[user:password@]host[:port][/database], or rediss:// with TLS, and the sizes of the keys of
// their visitors; see [Count].Seen. It refuses keys of other types and with other texts. Errors do not
// contain the password.
func ReadKeys(ctx context.Context, address string, patterns KeyPatterns) (result Result, err error) {
	keys, err := openRedis(address)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, keys.client.Close()) }()
	counts, err := keys.matching(ctx, patterns.counts)
	if err != nil {
		return Result{}, fmt.Errorf("read the keys: %w", err)
	}
	if len(counts) == 0 {
		return Result{}, fmt.Errorf("no key matches %q", patterns.counts.text)
	}
	var visitors []match
	if patterns.seen != nil {
		if visitors, err = keys.matching(ctx, *patterns.seen); err != nil {
			return Result{}, fmt.Errorf("read the keys of visitors: %w", err)
		}
	}
	return collect("key", nil, only(patterns.Hosts), func(c *collector) error {
		for _, each := range counts {
			err := c.accept(each.host())
			if err == nil {
				err = c.addKey(patterns.topics, each)
			}
			if err != nil {
				err = fmt.Errorf("%.300q %w", each.name, err)
			}
			if err := c.record("", 0, err); err != nil {
				return err
			}
		}
		for _, each := range visitors {
			if c.filter != nil && c.filter.check(each.host()) == nil {
				c.addSeen(patterns.topics, each)
			}
		}
		return nil
	})
}

// match is a key that matches a pattern, with the parts of its name that each * matched.
type match struct {
	key
	parts []string
}

// host returns the host of the first part that is a URL.
func (m match) host() string {
	for _, part := range m.parts {
		if host := hostOfURL(part); host != "" {
			return host
		}
	}
	return ""
}

// addKey adds the count of a key.
func (c *collector) addKey(template Template, k match) error {
	if k.kind != "string" {
		return fmt.Errorf("is a %s and should be a string with a number", k.kind)
	}
	topic, err := template.topic(k.parts...)
	if err != nil {
		return fmt.Errorf("names no topic: %w", err)
	}
	n, err := numeral.Parse(k.text)
	if err != nil {
		return fmt.Errorf("holds no count: %w", err)
	}
	return c.add(topic, tally.Numbers{Total: n})
}

// addSeen adds the number of visitors that a key holds to that of its topic.
func (c *collector) addSeen(template Template, k match) {
	topic, err := template.topic(k.parts...)
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
