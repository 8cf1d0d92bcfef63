package redisstore

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

// revertTexts has what the arguments of a topic point to, since an interface of a text is an
// allocation.
type revertTexts struct {
	writeTexts
	writes, entries string
}

// groupCall returns the call of a script for parts that fit together.
func (run *revertRun) groupCall(group []*revertPart) redistopology.Call {
	first, size := group[0], 0
	for _, part := range group {
		size += run.names.sizeForWrite(part.topic) + len(part.entries)*(choiceWrite+9+journalEntryBytes)
	}
	var bytes strings.Builder
	bytes.Grow(size)
	rule, all := run.catalog.Rule(first.topic), make([]revertTexts, len(group))
	keysOfTopic := withdrawKeys + len(first.journals)
	keys := make([]string, 0, len(group)*keysOfTopic)
	for i, part := range group {
		run.names.setForWrite(&all[i].writeTexts, &bytes, part.topic)
		keys = append(keys, all[i].keys[:withdrawKeys]...)
		for _, j := range part.journals {
			keys = append(keys, all[i].journal+strconv.FormatInt(j.day, 10))
		}
	}
	call := run.newWithdrawCall(rule, keys, keysOfTopic, 0, run.mode == tally.RevertPast, first.isRead)
	call.Durable, call.Until = true, first.until
	for i, part := range group {
		texts := &all[i]
		texts.writes, texts.entries = part.pack(&bytes, rule)
		call.Append(&texts.writes, &texts.entries, &texts.channel, &texts.head)
		for k := range part.journals {
			if j := &part.journals[k]; j.from == notRead {
				call.Append("")
			} else {
				call.Append(&j.from)
			}
		}
	}
	return call
}

// pack returns the writes and entries of a part as script/withdraw.lua takes them, and appends their
// bytes to all.
func (part *revertPart) pack(all *strings.Builder, rule tally.Rule) (writes, entries string) {
	const firstJournal = withdrawKeys + 1  // index of its key in Lua
	var buffer [9 + journalEntryBytes]byte // for the bytes of one entry
	begin := all.Len()
	for i := range part.entries {
		e := &part.entries[i]
		all.Write(appendWrite(buffer[:0], rule, &tally.Write{Member: e.Member, Source: e.Source}))
	}
	writes, begin = all.String()[begin:], all.Len()
	for i := range part.entries {
		e := &part.entries[i]
		at := slices.IndexFunc(part.journals, func(j journalRange) bool { return j.day == e.day })
		start := int64(0)
		if from := part.journals[at].from; from != notRead && e.offset >= from {
			start = e.offset - from + 1
		}
		packed := append(buffer[:0], byte(firstJournal+at))
		packed = binary.BigEndian.AppendUint32(packed, uint32(e.offset))
		packed = binary.BigEndian.AppendUint32(packed, uint32(start))
		all.Write(appendEntry(packed, &e.JournalEntry))
	}
	return writes, all.String()[begin:]
}
