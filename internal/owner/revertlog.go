package owner

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// revertLogPage is how many entries of the audit log are read at a time.
	revertLogPage = 1000
	// revertLogPages bounds the entries that one call reads.
	revertLogPages = 20
)

// undoAction is the action of reverts in the audit log, and undoBegins the detail of an entry
// that is written before the revert.
const undoAction, undoBegins = "undo", "begins"

// PastRevert is a revert in the audit log.
type PastRevert struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	From   time.Time `json:"from"` // the first selected minute
	To     time.Time `json:"to"`
	Detail string    `json:"detail"` // the effect on all selected topics, for people
}

// Reverts returns the reverts since a time that selected topic, the newest first, except those that
// reverted nothing. It does not find a revert of more than ten single topics if topic is not among
// the first ten, which the audit log names. Errors: [tally.CodeStoreUnavailable].
func (s *Service) Reverts(ctx context.Context, topic tally.Topic, since time.Time) ([]PastRevert, error) {
	reverts, ended := []PastRevert{}, map[string]bool{}
	for before, page := "", 0; page < revertLogPages; page++ {
		entries, next, err := s.AuditLog(ctx, before, revertLogPage)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.At.Before(since) {
				return reverts, nil
			}
			r, ok := parseRevert(e, topic)
			if !ok || e.Detail == undoBegins && ended[e.Target] {
				continue
			}
			ended[e.Target] = true // skip the entry that was written before this revert
			if !strings.HasPrefix(e.Detail, "0 ") {
				reverts = append(reverts, r)
			}
		}
		if next == "" {
			break
		}
		before = next
	}
	return reverts, nil
}

// revertTarget matches the name of a selection.
var revertTarget = regexp.MustCompile(`^(.*) from (\S+) to (\S+?)(?:, of .*)?$`)

// parseRevert parses an entry of the audit log. It reports false unless the entry is of a
// revert that selected topic.
func parseRevert(e tally.AuditEntry, topic tally.Topic) (PastRevert, bool) {
	parts := revertTarget.FindStringSubmatch(e.Target)
	if e.Action != undoAction || parts == nil || !names(parts[1], topic.String()) {
		return PastRevert{}, false
	}
	from, err := time.Parse(time.RFC3339, parts[2])
	if err != nil {
		return PastRevert{}, false
	}
	to, err := time.Parse(time.RFC3339, parts[3])
	return PastRevert{e.At, e.Actor, from, to, e.Detail}, err == nil
}

// names reports whether a list of topics, or the name of a scope, contains topic.
func names(list, topic string) bool {
	prefix, isScope := strings.CutSuffix(list, "*")
	return isScope && strings.HasPrefix(topic, prefix) || strings.Contains(", "+list+", ", ", "+topic+", ")
}
