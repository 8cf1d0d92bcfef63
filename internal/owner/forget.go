package owner

import (
	"context"
	"slices"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Forget takes back what a visitor contributed within scope, final or not, and
// what the journal has of it, and returns how many contributions that were. A window
// metric has forgotten by itself whose its older contributions are; they stay. The
// audit log does not say who it was. It may be repeated. Errors:
// [tally.CodeBadVisitor], [tally.CodeStoreUnavailable].
func (d *Service) Forget(ctx context.Context, actor, visitor string, scope tally.Scope) (int, error) {
	if err := tally.ValidateVisitor(visitor); err != nil {
		return 0, err
	}
	if _, err := d.loadSettings(ctx); err != nil { // the aliases of topics
		return 0, err
	}
	secret, err := d.store.Secret()
	if err != nil {
		return 0, err
	}
	who := person{service: d.service, hasher: tally.NewHasher(secret), visitor: visitor}
	if err := d.announce(ctx, actor, "forget", describe(scope), "begins, for a visitor"); err != nil {
		return 0, err
	}
	recent, err := d.forgetTraces(ctx, who, scope)
	if err != nil {
		return recent, err
	}
	older, err := d.forgetMembers(ctx, who, scope)
	if err != nil {
		return recent + older, err
	}
	return recent + older, d.Audit(ctx, actor, "forget", describe(scope), tally.Quantity(recent+older, "contribution")+" of a visitor taken back")
}

// person is a visitor, as the members that it may be of each topic.
type person struct {
	service *tally.Service
	hasher  tally.Hasher
	visitor string
}

func (p person) members(topic tally.Topic) []tally.Member {
	members := []tally.Member{p.hasher.Member(topic, p.visitor)}
	for _, alias := range p.service.Aliases(topic) {
		members = append(members, p.hasher.Member(alias, p.visitor))
	}
	return members
}

// forgetTraces takes back what the journal has.
func (d *Service) forgetTraces(ctx context.Context, who person, scope tally.Scope) (n int, err error) {
	var topic tally.Topic
	var members []tally.Member // of topic
	now := minute(d.now()) + clockSlack
	err = d.revert(ctx, scope, 0, now, func(t tally.JournalEntry) bool {
		if t.Topic != topic {
			topic, members = t.Topic, who.members(t.Topic)
		}
		return slices.Contains(members, t.Member)
	}, false, func(tally.JournalEntry) { n++ })
	return n, err
}

// forgetMembers takes back what the journal does not have.
func (d *Service) forgetMembers(ctx context.Context, who person, scope tally.Scope) (n int, err error) {
	listing := tally.Listing{Scope: scope, Order: tally.ByTopic, Limit: tally.MaxPortion}
	for {
		page, err := d.store.List(ctx, listing)
		if err != nil {
			return n, err
		}
		var queries []tally.Query
		for _, state := range page.States {
			for _, member := range who.members(state.Topic) {
				queries = append(queries, tally.Query{Topic: state.Topic, Member: member})
			}
		}
		for some := range slices.Chunk(queries, tally.MaxPortion) {
			withdrawn, err := d.withdraw(ctx, some)
			if n += withdrawn; err != nil {
				return n, err
			}
		}
		if page.Next == "" {
			return n, nil
		}
		listing.After = page.Next
	}
}

// withdraw takes back those of the contributions asked for that are there.
func (d *Service) withdraw(ctx context.Context, queries []tally.Query) (n int, err error) {
	var edits []tally.Edit
	for i, reading := range d.store.Read(ctx, queries) {
		if reading.Err != nil {
			return 0, reading.Err
		}
		if reading.Mine > 0 {
			edits = append(edits, tally.Edit{Topic: queries[i].Topic, Kind: tally.EditWithdraw, Members: []tally.Member{queries[i].Member}})
		}
	}
	if len(edits) == 0 {
		return 0, nil
	}
	d.store.Edit(ctx, edits)
	for _, e := range edits {
		switch {
		case e.Err != nil && err == nil:
			err = e.Err
		case e.Changed:
			n++
		}
	}
	return n, err
}

// describe names a scope for the audit log.
func describe(scope tally.Scope) string {
	switch {
	case scope.Site == "":
		return "all sites"
	case scope.Metric == "":
		return scope.Site + "/*"
	case scope.Exact:
		return scope.Site + "/" + scope.Metric + "/" + scope.Prefix
	}
	return scope.Site + "/" + scope.Metric + "/" + scope.Prefix + "*"
}

// clockSlack is how many minutes the store's clock may be before this machine's: as
// many as still read all of the journal.
const clockSlack = 5

// minute returns the minutes since the Unix epoch.
func minute(at time.Time) int64 { return at.Unix() / 60 }
