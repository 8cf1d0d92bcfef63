package api

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxBadgeLabel bounds the label of a badge, in characters.
	maxBadgeLabel = 40
	// exactBelow is the number from which a badge shows 12.3k. Below it a like is visible.
	exactBelow = 10_000
	badgePad   = 6 // px left and right of a text
)

var (
	svgType        = []string{"image/svg+xml; charset=utf-8"}
	cacheForMinute = []string{"public, max-age=60"}
	crossOrigin    = []string{"cross-origin"}
	// badgePolicy forbids everything to an SVG that is opened as a page.
	badgePolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; sandbox"}
)

// badge serves GET /badge/{site}/{metric}/{key}.svg, to pages of every origin.
func (a *API) badge(q *call) error {
	key, ok := strings.CutSuffix(strings.TrimPrefix(q.c.Param("key"), "/"), ".svg")
	if !ok {
		return notFound(q)
	}
	topic, err := tally.NewTopic(q.c.Param("site"), q.c.Param("metric"), key)
	if err == nil {
		err = a.catalog.Validate(topic.Site(), topic.Metric())
	}
	if err != nil {
		return err
	}
	label := topic.Metric()
	if text, _, err := q.parameter("label"); err == nil && text != "" {
		label = cleanLabel(text)
	}
	if err := a.takeReads(q, 1); err != nil {
		return err
	}
	readings, err := a.service.Read(q.r.Context(), []tally.Topic{topic}, "")
	if err == nil {
		err = readings[0].Err
	}
	var count int64
	if err == nil {
		count = readings[0].Change.Count
	} else if held, ok := a.fallback(topic, err); ok {
		count = held.Count
	} else {
		return err
	}
	h := q.w.Header()
	h["Content-Type"] = svgType
	h["Cache-Control"] = cacheForMinute
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["Content-Security-Policy"] = badgePolicy
	delete(h, "Vary") // does not depend on the origin
	q.respond(200, appendBadge(q.buffer[:0], label, count))
	return nil
}

// cleanLabel makes a label valid in XML and short: it replaces control characters and
// broken UTF-8.
func cleanLabel(label string) string {
	var b strings.Builder
	n := 0
	for _, r := range label {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
			r = ' '
		}
		if n++; n > maxBadgeLabel {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// appendBadge appends the SVG: the label on grey and the number in colour, in the size of
// common badges.
func appendBadge(dst []byte, label string, count int64) []byte {
	short := shortCount(count)
	left, right := textWidth(label)+2*badgePad, textWidth(short)+2*badgePad
	text := html.EscapeString(label)
	title := text + ": " + strconv.FormatInt(count, 10)
	number := func(n int) { dst = strconv.AppendInt(dst, int64(n), 10) }
	add := func(s string) { dst = append(dst, s...) }

	add(`<svg xmlns="http://www.w3.org/2000/svg" width="`)
	number(left + right)
	add(`" height="20" role="img" aria-label="`)
	add(title)
	add(`"><title>`)
	add(title)
	add(`</title><clipPath id="r"><rect width="`)
	number(left + right)
	add(`" height="20" rx="3"/></clipPath><g clip-path="url(#r)"><rect width="`)
	number(left)
	add(`" height="20" fill="#4b5563"/><rect x="`)
	number(left)
	add(`" width="`)
	number(right)
	add(`" height="20" fill="#be123c"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">`)
	textAt := func(middle2, width int, s string) {
		// textLength keeps other fonts within the badge.
		add(`<text x="`)
		dst = strconv.AppendFloat(dst, float64(middle2)/2, 'f', -1, 64)
		add(`" y="14" textLength="`)
		number(width)
		add(`">`)
		add(s)
		add(`</text>`)
	}
	textAt(left, left-2*badgePad, text)
	textAt(2*left+right, right-2*badgePad, short)
	add(`</g></svg>`)
	return dst
}

// shortCount formats a count: exactly below 10,000, above as 12.3k, 4.5M or 6.7G, rounded
// down.
func shortCount(count int64) string {
	if count < exactBelow {
		return strconv.FormatInt(count, 10)
	}
	unit := 0
	tenths := count / 100 // of thousands
	for tenths >= 10_000 && unit < 2 {
		tenths /= 1000
		unit++
	}
	text := strconv.FormatInt(tenths/10, 10)
	if tenths < 1000 && tenths%10 != 0 {
		text += "." + strconv.FormatInt(tenths%10, 10)
	}
	return text + string("kMG"[unit])
}

// verdana are the widths of U+0020 to U+007E in Verdana, in 1/2048 em.
var verdana = [...]uint16{
	720, 806, 940, 1676, 1302, 2204, 1488, 550, 930, 930, 1302, 1676, 745, 930, 745, 930,
	1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 1302, 930, 930, 1676, 1676, 1676, 1117,
	2048, 1400, 1404, 1430, 1578, 1295, 1177, 1588, 1539, 862, 931, 1419, 1140, 1726, 1532, 1612,
	1235, 1612, 1424, 1400, 1262, 1499, 1400, 2025, 1403, 1260, 1403, 930, 930, 930, 1676, 1302,
	1302, 1230, 1276, 1067, 1276, 1220, 720, 1276, 1296, 562, 705, 1212, 562, 1992, 1296, 1243,
	1276, 1276, 874, 1067, 807, 1296, 1212, 1676, 1212, 1212, 1076, 1300, 930, 1300, 1676,
}

// textWidth returns the width of text at 11 px. Other characters count as the widest
// common one, or, if they are as wide as high, as 1 em.
func textWidth(text string) int {
	units := 0
	for _, r := range text {
		switch {
		case r >= ' ' && int(r-' ') < len(verdana):
			units += int(verdana[r-' '])
		case utf8.RuneLen(r) >= 3:
			units += 2048
		default:
			units += 1400
		}
	}
	return (units*11 + 1024) / 2048
}
