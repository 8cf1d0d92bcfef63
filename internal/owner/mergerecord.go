package owner

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// mergeRecord is the progress of a merge: the detail of the mark of a frozen topic.
type mergeRecord struct {
	isFrozen bool
	hasCount bool          // count is known; contributions may have been copied
	count    tally.Numbers // of the target before the merge
	isSet    bool          // the target's count was set to the sum
}

// countSet ends the detail once the count was set.
const countSet = ":set"

// detail returns the record as the detail of a mark.
func (r mergeRecord) detail() string {
	detail := ""
	if r.hasCount {
		detail = strconv.FormatInt(r.count.Total, 10)
		if r.count.Options != "" {
			detail = string(r.count.Options)
		}
	}
	if r.isSet {
		detail += countSet
	}
	return detail
}

// record reads the record of this merge in the mark of a topic.
func (l *lease) record(ctx context.Context, topic tally.Topic) (r mergeRecord, err error) {
	mark, err := l.service.store.SwapMark(ctx, topic, "", "")
	if err != nil {
		return r, err
	}
	id, detail, ok := tally.ParseFrozenMark(mark)
	if r.isFrozen = ok && id == l.ID; !r.isFrozen || detail == "" {
		return r, nil
	}
	detail, r.isSet = strings.CutSuffix(detail, countSet)
	r.hasCount = true
	if strings.Contains(detail, ",") {
		r.count.Options, err = tally.ParseOptions(detail)
		r.count.Total = r.count.Options.Sum()
	} else {
		r.count.Total, err = strconv.ParseInt(detail, 10, 64)
	}
	if err != nil {
		return r, tally.Unavailable(fmt.Errorf("mark of %s: %w", topic, err))
	}
	return r, nil
}

// writeRecord stores the record in the mark of a topic and returns the mark.
func (l *lease) writeRecord(ctx context.Context, topic tally.Topic, r mergeRecord) (mark string, err error) {
	mark = tally.FrozenMark(l.ID, r.detail())
	return mark, l.mark(ctx, topic, mark)
}

// mark sets the mark of a topic that this merge has claimed. It replaces any other mark.
func (l *lease) mark(ctx context.Context, topic tally.Topic, mark string) error {
	return l.step(ctx, func(ctx context.Context) error {
		for expected := ""; ; {
			current, err := l.service.store.SwapMark(ctx, topic, expected, mark)
			if err != nil || current == mark {
				return err
			}
			expected = current
		}
	})
}

// release unfreezes a topic: it gets the mark of its aliases.
func (l *lease) release(ctx context.Context, topic tally.Topic) error {
	settings, err := l.service.store.Settings(ctx, tally.AliasSettings(topic)...)
	if err != nil {
		return err
	}
	return l.mark(ctx, topic, tally.AliasMark(settings, topic))
}
