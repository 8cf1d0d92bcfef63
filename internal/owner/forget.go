package owner

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// Forget removes the contributions of a visitor within scope, final ones included, and
// its journal entries, and returns the number of contributions. Older contributions to a
// window metric are anonymous already; they stay. The audit log does not name the visitor.
// Forget may be interrupted and repeated. Errors: [tally.CodeBadVisitor],
// [tally.CodeStoreUnavailable].
func (s *Service) Forget(ctx context.Context, actor, visitor string, scope tally.Scope) (int, error) {
	if err := tally.ValidateAnyVisitor(visitor); err != nil {
		return 0, err
	}
	if _, err := s.loadSettings(ctx); err != nil { // the aliases of topics
		return 0, err
	}
	secret, err := s.store.Secret()
	if err != nil {
		return 0, err
	}
	hasher := tally.NewHasher(secret)
	members := func(topic tally.Topic) []tally.Member {
		members := []tally.Member{hasher.Member(topic, visitor)}
		for _, alias := range s.service.Aliases(topic) {
			members = append(members, hasher.Member(alias, visitor))
		}
		return members
	}
	entry := tally.AuditEntry{Actor: actor, Action: "forget", Target: scopeName(scope), Detail: "begins, for a visitor", Sites: scope.Site}
	if scope.Site == "" && s.sites != nil {
		entry.Sites = strings.Join(s.sites, " ")
		entry.Target = "sites " + entry.Sites
	}
	if err := s.auditBegin(ctx, entry); err != nil {
		return 0, err
	}
	n, err := s.forgetJournal(ctx, members, scope)
	if err == nil {
		var older int
		older, err = s.forgetMembers(ctx, members, scope)
		n += older
	}
	entry.Detail = tally.Quantity(n, "contribution") + " of a visitor removed"
	return n, s.auditEnd(ctx, entry, err)
}

// forgetJournal reverts the journal entries of the members.
func (s *Service) forgetJournal(ctx context.Context, membersOf func(tally.Topic) []tally.Member, scope tally.Scope) (n int, err error) {
	var topic tally.Topic
	var members []tally.Member // of topic
	isSelected := func(e tally.JournalEntry) bool {
		if e.Topic != topic {
			topic, members = e.Topic, membersOf(e.Topic)
		}
		return slices.Contains(members, e.Member)
	}
	err = s.revert(ctx, scope, 0, minute(s.now())+clockSlack, isSelected, tally.RevertPresent, func(tally.JournalEntry) { n++ })
	return n, err
}

// forgetMembers withdraws the contributions of the members that have no journal entry.
func (s *Service) forgetMembers(ctx context.Context, membersOf func(tally.Topic) []tally.Member, scope tally.Scope) (n int, err error) {
	err = s.store.Topics(ctx, scope, func(topics []tally.Topic) error {
		var queries []tally.Query
		for _, topic := range topics {
			for _, member := range membersOf(topic) {
				queries = append(queries, tally.Query{Topic: topic, Member: member})
			}
		}
		for chunk := range slices.Chunk(queries, tally.MaxPortion) {
			withdrawn, err := s.withdraw(ctx, chunk)
			if n += withdrawn; err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// withdraw withdraws the contributions that the queries find.
func (s *Service) withdraw(ctx context.Context, queries []tally.Query) (n int, err error) {
	amounts, err := s.store.Contributions(ctx, queries)
	if err != nil {
		return 0, err
	}
	var edits []tally.Edit
	for i, amount := range amounts {
		if amount > 0 {
			edits = append(edits, tally.Edit{Topic: queries[i].Topic, Kind: tally.EditWithdraw, Members: []tally.Member{queries[i].Member}})
		}
	}
	if len(edits) == 0 {
		return 0, nil
	}
	s.store.Edit(ctx, edits)
	var errs []error
	for _, e := range edits {
		if errs = append(errs, e.Err); e.Err == nil && e.Changed {
			n++
		}
	}
	return n, cmp.Or(errs...)
}

// scopeName returns how the audit log names a scope.
func scopeName(scope tally.Scope) string {
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
