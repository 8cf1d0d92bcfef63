package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// An export is JSON Lines (one JSON object a line, UTF-8):
//
//	{"tallycast":"export","format":1,"fingerprint":"0123456789abcdef","made":"2026-11-22T20:30:00Z"}
//	{"order":"former blog/likes/new","value":"[\"blog/likes/old\"]"}
//	{"topic":"blog/likes/hello","rule":"toggle","count":5,"version":1790000000000001,"seed":3,"first":true,"members":"…","counted":2}
//	{"total":{"topics":1,"contributions":2}}
//
// The header comes first; with "secret" (base64) where that was asked for. Orders say
// under which names contributions were made, and who is blocked. A line with a topic is
// one [tally.Portion]: "first" stands on the first of a topic, "counted" on its last.
// "members" are the members' 16 hex digits each, one after the other; "amounts", in the
// same order, is left out where all are 1, as are seed and adjustment where they are 0.
// Members of a window metric are those of the window that ends at "until" (seconds since
// 1970). The last line has the totals: a file without it was cut off.
//
// Fields and kinds of lines that a later version adds within a format are ignored; what
// must not be ignored raises the format's number.
const Format = 1

// kind is the value of the header's first field, by which the file is known.
const kind = "export"

// maxExact bounds numbers in either direction: a JSON number holds every integer up
// to it exactly (RFC 8259, section 6).
const maxExact = 1<<53 - 1

// hexDigits is how many stand for a member.
const hexDigits = 16

// Header is the first line of an export.
type Header struct {
	Tallycast   string    `json:"tallycast"`
	Format      int       `json:"format"`
	Fingerprint string    `json:"fingerprint"`
	Made        time.Time `json:"made"`
	Secret      []byte    `json:"secret,omitempty"`
}

// NewHeader returns the header of an export made now from a store with that secret,
// which the file holds where withSecret says so.
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

// Totals are what an export holds.
type Totals struct {
	Topics        int64 `json:"topics"`
	Contributions int64 `json:"contributions"`
}

// record is any line of an export.
type record struct {
	Tallycast string `json:"tallycast"`

	Setting string `json:"order"`
	Value   string `json:"value"`

	Topic      string  `json:"topic"`
	Rule       string  `json:"rule"`
	Count      int64   `json:"count"`
	Version    int64   `json:"version"`
	Seed       int64   `json:"seed"`
	Adjustment int64   `json:"adjustment"`
	First      bool    `json:"first"`
	Until      int64   `json:"until"`
	Members    string  `json:"members"`
	Amounts    []int64 `json:"amounts"`
	Counted    *int64  `json:"counted"`

	Total *Totals `json:"total"`
}

// Line is a portion as it stands in an export.
type Line struct {
	tally.Portion
	Rule  string // of its metric where it was made, as [tally.ParseRule] reads it
	Until int64  // when the window of its members ends, in seconds since 1970; else 0
	// Number is where it stands in its file, from 1.
	Number int64
}

// EncodePart returns a header and lines as [Import] reads them with [ImportOptions].Piece.
func EncodePart(h Header, lines []Line) []byte {
	text := appendHeader(nil, h)
	for _, line := range lines {
		text = appendLine(text, line)
	}
	return text
}

// EncodeSettingPart is [EncodePart] for an order.
func EncodeSettingPart(h Header, name, value string) []byte {
	return appendSetting(appendHeader(nil, h), name, value)
}

// appendHeader, appendOrder, appendLine and appendTotals append a line with its end.
func appendHeader(dst []byte, h Header) []byte {
	text, _ := json.Marshal(h) // its fields cannot fail
	return append(append(dst, text...), '\n')
}

func appendSetting(dst []byte, name, value string) []byte {
	dst = tally.AppendJSONString(append(dst, `{"order":`...), name)
	dst = tally.AppendJSONString(append(dst, `,"value":`...), value)
	return append(dst, "}\n"...)
}

func appendLine(dst []byte, l Line) []byte {
	dst = tally.AppendJSONString(append(dst, `{"topic":`...), l.Topic.String())
	dst = tally.AppendJSONString(append(dst, `,"rule":`...), l.Rule)
	dst = strconv.AppendInt(append(dst, `,"count":`...), l.Count, 10)
	dst = strconv.AppendInt(append(dst, `,"version":`...), l.Version, 10)
	if l.Seed != 0 {
		dst = strconv.AppendInt(append(dst, `,"seed":`...), l.Seed, 10)
	}
	if l.Adjustment != 0 {
		dst = strconv.AppendInt(append(dst, `,"adjustment":`...), l.Adjustment, 10)
	}
	if l.First {
		dst = append(dst, `,"first":true`...)
	}
	if l.Until != 0 {
		dst = strconv.AppendInt(append(dst, `,"until":`...), l.Until, 10)
	}
	dst = appendContributions(dst, l.Contributions)
	if l.Last {
		dst = strconv.AppendInt(append(dst, `,"counted":`...), l.Sum, 10)
	}
	return append(dst, "}\n"...)
}

func appendContributions(dst []byte, contributions []tally.Contribution) []byte {
	if len(contributions) == 0 {
		return dst
	}
	const hex = "0123456789abcdef"
	all1 := true
	dst = append(dst, `,"members":"`...)
	for _, c := range contributions {
		all1 = all1 && c.Amount == 1
		for shift := 60; shift >= 0; shift -= 4 {
			dst = append(dst, hex[c.Member>>shift&15])
		}
	}
	dst = append(dst, '"')
	if all1 {
		return dst
	}
	dst = append(dst, `,"amounts":[`...)
	for i, c := range contributions {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, c.Amount, 10)
	}
	return append(dst, ']')
}

func appendTotals(dst []byte, t Totals) []byte {
	return fmt.Appendf(dst, `{"total":{"topics":%d,"contributions":%d}}`+"\n", t.Topics, t.Contributions)
}

// readHeader reads the first line of an export.
// Errors: [tally.CodeBadBody].
func readHeader(text []byte) (Header, error) {
	var h Header
	err := json.Unmarshal(text, &h)
	switch {
	case err != nil || h.Tallycast != kind:
		return Header{}, tally.Errorf(tally.CodeBadBody, `line 1 is not the header of an export, {"tallycast":"export",…}`)
	case h.Format > Format:
		return Header{}, tally.Errorf(tally.CodeBadBody, "the export has format %d, and this version reads up to %d: use the newer tallycast that made it", h.Format, Format)
	case h.Format < 1:
		return Header{}, tally.Errorf(tally.CodeBadBody, "the export's header names no format")
	}
	return h, nil
}

// portion returns the line with a topic, or why it is none.
func (r *record) portion() (Line, error) {
	topic, err := tally.ParseTopic(r.Topic)
	if err != nil {
		return Line{}, fmt.Errorf("topic %.300q: %s", r.Topic, tally.AsError(err).Message)
	}
	for _, number := range []struct {
		name        string
		value, from int64
	}{
		{"count", r.Count, 0}, {"version", r.Version, 0}, {"seed", r.Seed, 0},
		{"adjustment", r.Adjustment, -maxExact}, {"until", r.Until, 0},
	} {
		if number.value < number.from || number.value > maxExact {
			return Line{}, fmt.Errorf("%s: %s is %d, which cannot be", topic, number.name, number.value)
		}
	}
	l := Line{Rule: r.Rule, Until: r.Until}
	l.State = tally.State{
		Change: tally.Change{Topic: topic, Count: r.Count, Version: r.Version},
		Seed:   r.Seed, Adjustment: r.Adjustment,
	}
	l.First = r.First
	if r.Counted != nil {
		if *r.Counted < 0 || *r.Counted > maxExact {
			return Line{}, fmt.Errorf("%s: counted is %d, which cannot be", topic, *r.Counted)
		}
		l.Last, l.Sum = true, *r.Counted
	}
	if l.Contributions, err = r.contributions(); err != nil {
		return Line{}, fmt.Errorf("%s: %w", topic, err)
	}
	return l, nil
}

func (r *record) contributions() ([]tally.Contribution, error) {
	n := len(r.Members) / hexDigits
	switch {
	case len(r.Members)%hexDigits != 0:
		return nil, fmt.Errorf("members have %d hex digits, which is no multiple of %d", len(r.Members), hexDigits)
	case n > tally.MaxPortion:
		return nil, fmt.Errorf("%d members stand on one line; at most %d may", n, tally.MaxPortion)
	case r.Amounts != nil && len(r.Amounts) != n:
		return nil, fmt.Errorf("there are %d amounts for %d members", len(r.Amounts), n)
	case n == 0:
		return nil, nil
	}
	contributions := make([]tally.Contribution, n)
	for i := range contributions {
		digits := r.Members[i*hexDigits : (i+1)*hexDigits]
		member, ok := parseMember(digits)
		if !ok {
			return nil, fmt.Errorf("member %q is not %d hex digits, or nobody", digits, hexDigits)
		}
		contributions[i] = tally.Contribution{Member: member, Amount: 1}
		if r.Amounts != nil {
			if contributions[i].Amount = r.Amounts[i]; r.Amounts[i] < 1 || r.Amounts[i] > maxExact {
				return nil, fmt.Errorf("the amount of member %s is %d, which cannot be", digits, r.Amounts[i])
			}
		}
	}
	return contributions, nil
}

// parseMember reads hex digits; the member that is nobody is none.
func parseMember(digits string) (member tally.Member, ok bool) {
	for i := range len(digits) {
		c := digits[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		member = member<<4 | tally.Member(c)
	}
	return member, member != 0
}

// ReadHeader reads the header of an export, and may read more of r than that.
// Errors: [tally.CodeBadBody] for what is no export.
func ReadHeader(r io.Reader) (Header, error) {
	text, err := newLines(r).next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
		return Header{}, err
	}
	return readHeader(text)
}
