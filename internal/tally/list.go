package tally

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// Scope selects topics: those of a site, of one of its metrics, and whose keys begin with
// Prefix. An empty field selects all; the fields after an empty one are empty too.
type Scope struct {
	Site, Metric, Prefix string
	// Exact selects the one topic whose key is Prefix, which stores find directly.
	Exact bool
}

// ScopeOf returns the scope of one topic.
func ScopeOf(topic Topic) Scope {
	return Scope{Site: topic.Site(), Metric: topic.Metric(), Prefix: topic.Key(), Exact: true}
}

// Contains reports whether topic is in the scope.
func (s Scope) Contains(topic Topic) bool {
	return (s.Site == "" || s.Site == topic.Site()) &&
		(s.Metric == "" || s.Metric == topic.Metric()) &&
		strings.HasPrefix(topic.Key(), s.Prefix) &&
		(!s.Exact || topic.Key() == s.Prefix)
}

// Order is the order of a [Listing].
type Order uint8

const (
	ByTopic  Order = iota // by name
	ByNewest              // the latest change first
	ByCount               // the highest count first
)

// Listing asks for a page of topics, presence left out.
type Listing struct {
	Scope  Scope
	Sites  []string // if not nil, only topics of these sites, which are sorted
	Order  Order
	Limit  int    // at most MaxPortion, which is also what 0 means
	After  string // the Next of the previous page; empty: the first page
	Before int64  // if not 0, only topics whose version is below it
}

// HasSite reports whether the list has the topics of a site.
func (l Listing) HasSite(site string) bool {
	return (l.Scope.Site == "" || l.Scope.Site == site) && (l.Sites == nil || slices.Contains(l.Sites, site))
}

// Page answers a [Listing]. Next is empty on the last page.
type Page struct {
	States []State
	Next   string
}

// Cursor is where a page ends: its last topic, and the value that the order sorts it by.
type Cursor struct {
	Value int64 // 0 in the order ByTopic
	Topic Topic
}

// Text returns the cursor as the Next of a page in that order.
func (c Cursor) Text(order Order) string {
	if order == ByTopic {
		return c.Topic.String()
	}
	return strconv.FormatInt(c.Value, 10) + " " + c.Topic.String()
}

// Cursor parses After. It returns nil for the first page. Errors: [CodeBadBody].
func (l Listing) Cursor() (*Cursor, error) {
	if l.After == "" {
		return nil, nil
	}
	var c Cursor
	var err error
	name := l.After
	if l.Order != ByTopic {
		var number string
		number, name, _ = strings.Cut(l.After, " ")
		c.Value, err = strconv.ParseInt(number, 10, 64)
	}
	if err == nil {
		c.Topic, err = ParseTopic(name)
	}
	if err != nil {
		return nil, Errorf(CodeBadBody, "%q is not the next of a page of this list", l.After)
	}
	return &c, nil
}

// Lister lists topics.
type Lister interface {
	// List returns a page of topics, with their current numbers. It may be 2 s behind the
	// topics that other instances create or delete, and longer after one of them died.
	List(ctx context.Context, listing Listing) (Page, error)

	// Topics passes the topics of scope to each, in any order, without those of presence. It
	// passes all that exist during the whole call, and may pass some that were deleted. It ends
	// with the first error of each.
	Topics(ctx context.Context, scope Scope, each func([]Topic) error) error
}

// StateOf returns the state of a topic in store, of version 0 if it does not exist.
func StateOf(ctx context.Context, store Lister, topic Topic) (State, error) {
	page, err := store.List(ctx, Listing{Scope: ScopeOf(topic), Limit: 1})
	if err != nil || len(page.States) == 0 {
		return State{Change: Change{Topic: topic}}, err
	}
	return page.States[0], nil
}
