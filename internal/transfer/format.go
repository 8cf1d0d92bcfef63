package transfer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Format is the number of the format that this version writes, and the highest that it
// reads. An export is JSON Lines (a JSON object on each line, UTF-8):
//
//	{"tallycast":"export","format":1,"fingerprint":"0123456789abcdef","made":"2026-11-22T20:30:00Z"}
//	{"order":"former blog/likes/new","value":"[\"blog/likes/old\"]"}
//	{"topic":"blog/likes/hello","rule":"toggle","count":5,"version":1790000000000001,"seed":3,"first":true,"members":"…","counted":2}
//	{"total":{"topics":1,"contributions":2}}
//
// The header comes first; it has "secret" (base64) if the owner asked for it. Lines with
// "order" are settings: aliases of topics, and blocks. Lines with "topic" are portions
// ([tally.Portion]): the first of a topic has "first", the last has "counted". "members" are 16
// hex digits for each member; "amounts" are in the same order. Amounts are omitted if all are
// 1, seed and adjustment if they are 0. Members of a window metric belong to the window that
// ends at "until" (seconds since 1970). In a choice metric "amounts" are the options chosen,
// "options" is the count of each option, and seed and adjustment are lists of one number for
// each.
//
// The last line of a topic has its "history". A record of "days" and "hours" has the number of
// the period since 1970, the contributions of visitors until its end, and the adjustment unless
// it is 0. "gain" counts these contributions until the export. "complete" says that the topic
// was created after the history began.
//
// The last line of the file has the totals: a file without it was cut off.
//
// Readers ignore unknown fields and kinds of lines, so later versions can add some. A change that
// readers must not ignore raises the number of the format.
const Format = 1

// kind is the value of the first field in the header of an export.
const kind = "export"

// maxExact bounds the absolute value of numbers: JSON holds every integer up to it exactly
// (RFC 8259, section 6).
const maxExact = 1<<53 - 1

// hexDigits is the number of hex digits of a member.
const hexDigits = 16

// Header is the first line of an export.
type Header struct {
	Tallycast   string    `json:"tallycast"`
	Format      int       `json:"format"`
	Fingerprint string    `json:"fingerprint"`
	Made        time.Time `json:"made"`
	Secret      []byte    `json:"secret,omitempty"`
}

// NewHeader returns the header of an export from a store with the secret. withSecret adds
// the secret to the file.
func NewHeader(secret []byte, withSecret bool, now time.Time) Header {
	h := Header{
		Tallycast:   kind,
		Format:      Format,
		Fingerprint: tally.NewHasher(secret).Fingerprint(),
		Made:        now.UTC().Truncate(time.Second),
	}
	if withSecret {
		h.Secret = secret
	}
	return h
}

// Totals are the numbers of topics and contributions of an export.
type Totals struct {
	Topics        int64 `json:"topics"`
	Contributions int64 `json:"contributions"`
}

func (t *Totals) add(p tally.Portion) {
	if p.Last {
		t.Topics++
	}
	t.Contributions += int64(len(p.Contributions))
}

// record is a line of an export, of any kind but the header.
type record struct {
	settingRecord
	portionRecord
	totalRecord
}

type settingRecord struct {
	Setting string `json:"order"`
	Value   string `json:"value"`
}

type portionRecord struct {
	Topic      string        `json:"topic"`
	Rule       string        `json:"rule"`
	Count      int64         `json:"count"`
	Options    tally.Options `json:"options,omitempty"`
	Version    int64         `json:"version"`
	Seed       tally.Numbers `json:"seed,omitzero"`
	Adjustment tally.Numbers `json:"adjustment,omitzero"`
	First      bool          `json:"first,omitzero"`
	Until      int64         `json:"until,omitzero"`
	Members    string        `json:"members,omitzero"`
	Amounts    []int64       `json:"amounts,omitempty"`
	Counted    *int64        `json:"counted,omitempty"`
	History    *pastRecord   `json:"history,omitempty"`
}

type pastRecord struct {
	Gain     int64     `json:"gain"`
	Complete bool      `json:"complete,omitzero"`
	Days     [][]int64 `json:"days"`
	Hours    [][]int64 `json:"hours"`
}

type totalRecord struct {
	Total *Totals `json:"total"`
}

// Line is a portion in an export.
type Line struct {
	tally.Portion
	Rule   string // of its metric in the exported store, see [tally.ParseRule]
	Until  int64  // end of the window of its members, in seconds since 1970; 0 without one
	Number int64  // of the line in the file, from 1
}

// EncodePart returns a header and a batch, which [Import] reads with [ImportOptions].Part.
func EncodePart(h Header, batch Batch) []byte {
	var text bytes.Buffer
	lines := tally.NewEncoder(&text)
	_ = lines.Encode(h) // cannot fail with these types, like those below
	for _, setting := range batch.Settings {
		_ = lines.Encode(settingRecord{setting.Name, setting.Value})
	}
	for _, line := range batch.Lines {
		_ = lines.Encode(line.record())
	}
	return text.Bytes()
}

func (l Line) record() portionRecord {
	r := portionRecord{
		Topic: l.Topic.String(), Rule: l.Rule, Count: l.Count, Options: l.Options, Version: l.Version,
		Seed: l.Seeds(), Adjustment: l.Adjustments(), First: l.First, Until: l.Until,
	}
	var members []byte
	for _, c := range l.Contributions {
		members = binary.BigEndian.AppendUint64(members, uint64(c.Member))
		r.Amounts = append(r.Amounts, c.Amount)
	}
	r.Members = hex.EncodeToString(members)
	if !slices.ContainsFunc(r.Amounts, func(amount int64) bool { return amount != 1 }) {
		r.Amounts = nil
	}
	if l.Last {
		r.Counted = &l.Sum
	}
	if p := l.Past; p != nil {
		r.History = &pastRecord{Gain: p.Gain, Complete: p.IsComplete, Days: formatRecords(p.Days), Hours: formatRecords(p.Hours)}
	}
	return r
}

func formatRecords(records []tally.Record) [][]int64 {
	lists := make([][]int64, len(records))
	for i, r := range records {
		lists[i] = []int64{r.Number, r.Sum}
		if r.Adjustment != 0 {
			lists[i] = append(lists[i], r.Adjustment)
		}
	}
	return lists
}

// past returns the history that the record holds, nil without one. Its error is for people.
func (r *pastRecord) past() (p *tally.Past, err error) {
	if r == nil {
		return nil, nil
	}
	p = &tally.Past{Gain: r.Gain, IsComplete: r.Complete}
	if p.Days, err = parseRecords(r.Days); err == nil {
		p.Hours, err = parseRecords(r.Hours)
	}
	return p, err
}

func parseRecords(lists [][]int64) ([]tally.Record, error) {
	records := make([]tally.Record, len(lists))
	for i, list := range lists {
		if len(list) < 2 || len(list) > 3 {
			return nil, fmt.Errorf("a record of the history has %d numbers and should have 2 or 3", len(list))
		}
		records[i] = tally.Record{Number: list[0], Sum: list[1]}
		if len(list) == 3 {
			records[i].Adjustment = list[2]
		}
	}
	return records, nil
}

// ErrNoExport is the error of a file that does not begin with the header of an export.
var ErrNoExport error = tally.Errorf(tally.CodeBadBody, `line 1 is not the header of an export, {"tallycast":"export",…}`)

// ReadHeader reads the header of an export. It may read more of r.
// Errors: [tally.CodeBadBody] for a file that is not an export, those of r.
func ReadHeader(r io.Reader) (Header, error) { return newLines(r).header() }

// header reads the first line. Errors: as [ReadHeader].
func (l *lines) header() (Header, error) {
	text, err := l.next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
		return Header{}, err
	}
	var h Header
	err = json.Unmarshal(text, &h)
	switch {
	case err != nil || h.Tallycast != kind:
		return Header{}, ErrNoExport
	case h.Format > Format:
		return Header{}, tally.Errorf(tally.CodeBadBody, "the export has format %d, and this version reads formats up to %d; import it with the newer tallycast that wrote it", h.Format, Format)
	case h.Format < 1:
		return Header{}, tally.Errorf(tally.CodeBadBody, "the header of the export lacks the number of its format")
	}
	return h, nil
}

// line returns the portion that the record holds. Its error is for people.
func (r portionRecord) line() (Line, error) {
	topic, err := tally.ParseTopic(r.Topic)
	if err != nil {
		return Line{}, fmt.Errorf("topic %.300q: %s", r.Topic, tally.AsError(err).Message)
	}
	l := Line{Rule: r.Rule, Until: r.Until}
	l.State = tally.State{
		Change: tally.Change{Topic: topic, Count: r.Count, Options: r.Options, Version: r.Version},
		Seed:   r.Seed.Total, SeedOptions: r.Seed.Options, Adjustment: r.Adjustment.Total, AdjustmentOptions: r.Adjustment.Options,
	}
	l.First = r.First
	if l.Last = r.Counted != nil; l.Last {
		l.Sum = *r.Counted
	}
	for _, number := range []struct {
		name         string
		value, least int64
	}{
		{"count", r.Count, 0}, {"version", r.Version, 0}, {"seed", r.Seed.Total, 0},
		{"adjustment", r.Adjustment.Total, -maxExact}, {"until", r.Until, 0}, {"counted", l.Sum, 0},
	} {
		if number.value < number.least || number.value > maxExact {
			return Line{}, fmt.Errorf("%s: %s is %d and should be from %d to %d", topic, number.name, number.value, number.least, int64(maxExact))
		}
	}
	if l.Past, err = r.History.past(); err != nil {
		return Line{}, fmt.Errorf("%s: %w", topic, err)
	}
	if l.Contributions, err = r.contributions(); err != nil {
		return Line{}, fmt.Errorf("%s: %w", topic, err)
	}
	return l, nil
}

func (r portionRecord) contributions() ([]tally.Contribution, error) {
	n := len(r.Members) / hexDigits
	switch {
	case len(r.Members)%hexDigits != 0:
		return nil, fmt.Errorf("members have %d hex digits, not a multiple of %d", len(r.Members), hexDigits)
	case n > tally.MaxPortion:
		return nil, fmt.Errorf("the line has %d members and should have at most %d", n, tally.MaxPortion)
	case r.Amounts != nil && len(r.Amounts) != n:
		return nil, fmt.Errorf("the line has %d amounts for %d members", len(r.Amounts), n)
	case n == 0:
		return nil, nil
	}
	contributions := make([]tally.Contribution, n)
	for i := range contributions {
		digits := r.Members[i*hexDigits : (i+1)*hexDigits]
		member, err := strconv.ParseUint(digits, 16, 64)
		if err != nil || member == 0 {
			return nil, fmt.Errorf("the member %q should be %d hex digits, not all 0", digits, hexDigits)
		}
		contributions[i] = tally.Contribution{Member: tally.Member(member), Amount: 1}
		if r.Amounts != nil {
			if contributions[i].Amount = r.Amounts[i]; r.Amounts[i] < 1 || r.Amounts[i] > maxExact {
				return nil, fmt.Errorf("the amount of the member %s is %d and should be from 1 to %d", digits, r.Amounts[i], int64(maxExact))
			}
		}
	}
	return contributions, nil
}
