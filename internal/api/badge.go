package api

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxBadgeLabel bounds the label of a badge, in characters.
	maxBadgeLabel = 40
	// exactBelow is the number from which a badge shows 12.3k. Below it each like changes the badge.
	exactBelow = 10_000
	badgePad   = 6 // px left and right of a text
)

var (
	svgType        = []string{"image/svg+xml; charset=utf-8"}
	cacheForMinute = []string{"public, max-age=60"}
	// badgePolicy forbids everything to an SVG that is opened as a page.
	badgePolicy = []string{"default-src 'none'; style-src 'unsafe-inline'; sandbox"}
)

// badge serves GET /badge/{site}/{metric}/{key}.svg, to pages of every origin.
func (a *API) badge(q *call) error {
	const extension = ".svg"
	if !strings.HasSuffix(q.c.Param("key"), extension) {
		return notFound(q)
	}
	topic, err := q.pathTopic(extension)
	if err != nil {
		return err
	}
	label := topic.Metric()
	if text, _, err := q.parameter("label"); err == nil && text != "" {
		label = cleanLabel(text)
	}
	show, err := q.badgeShow(a.catalog.Rule(topic))
	if err != nil {
		return err
	}
	if err := q.takeReads(1); err != nil {
		return err
	}
	content, err := a.badgeContent(q.r.Context(), topic, show)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h["Content-Type"] = svgType
	h["Cache-Control"] = cacheForMinute
	h["Content-Security-Policy"] = badgePolicy
	allowEverywhere(h)
	delete(h, "Vary") // does not depend on the origin
	q.respond(http.StatusOK, appendBadge(q.buffer[:0], label, content))
	return nil
}

// badgeContent is the right part of a badge: the line of a trend, if there is one, and a number, in a
// short form that is shown and in full for the title.
type badgeContent struct {
	short, full string
	trend       []int64 // counts at the end of days, the oldest first
}

// countContent returns the content of a count or score.
func countContent(n int64) badgeContent {
	content := badgeContent{short: shortCount(max(n, -n)), full: strconv.FormatInt(max(n, -n), 10)}
	if n < 0 {
		content.short, content.full = "−"+content.short, "−"+content.full
	}
	return content
}

// Values of ?show=, the content of a badge.
const (
	showCount   = ""
	showAverage = "average"
	showScore   = "score"
	showTrend   = "trend"
)

// badgeShow parses ?show= for a topic with rule. Errors: bad_body.
func (q *call) badgeShow(rule tally.Rule) (string, error) {
	show, found, err := q.parameter("show")
	switch {
	case err != nil || !found:
		return showCount, err
	case show == showTrend, rule.Kind == tally.Choice && (show == showAverage || show == showScore):
		return show, nil
	case show == showAverage, show == showScore:
		return "", tally.Errorf(tally.CodeBadBody, "show=%s is for metrics with options; this one has a count only", show)
	}
	return "", tally.Errorf(tally.CodeBadBody, "the parameter show is %.40q; it must be average, score or trend", show)
}

// badgeContent reads the content of a topic's badge.
func (a *API) badgeContent(ctx context.Context, topic tally.Topic, show string) (badgeContent, error) {
	if show == showTrend {
		return a.trendContent(ctx, topic)
	}
	readings, err := a.read(ctx, []tally.Topic{topic}, "")
	if err != nil {
		return badgeContent{}, err
	}
	c := readings[0].Change
	switch {
	case show == showScore:
		return countContent(c.Options.Score()), nil
	case show == showCount:
		return countContent(c.Count), nil
	case c.Count == 0:
		return badgeContent{short: "–", full: "–"}, nil // there are no choices yet
	}
	average := strconv.FormatFloat(c.Options.Average(), 'f', 1, 64)
	return badgeContent{short: average, full: average}, nil
}

// cleanLabel makes a label valid in XML and short. It replaces control characters and invalid UTF-8.
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

// badgeSVG is a label on grey and a number in colour, in the size of common badges. Its arguments:
// 1 the title, 2 the label, 3 the number; the widths of 4 the badge, 5 its left and 6 its right
// part; the centres of 7 the label and 8 the number; the widths of 9 the label and 10 the number,
// which textLength enforces in other fonts, too; 11 the line.
const badgeSVG = `<svg xmlns="http://www.w3.org/2000/svg" width="%[4]d" height="20" role="img" aria-label="%[1]s"><title>%[1]s</title>` +
	`<clipPath id="r"><rect width="%[4]d" height="20" rx="3"/></clipPath>` +
	`<g clip-path="url(#r)"><rect width="%[5]d" height="20" fill="#4b5563"/><rect x="%[5]d" width="%[6]d" height="20" fill="#be123c"/></g>%[11]s` +
	`<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11">` +
	`<text x="%[7]g" y="14" textLength="%[9]d">%[2]s</text><text x="%[8]g" y="14" textLength="%[10]d">%[3]s</text></g></svg>`

// appendBadge appends the SVG.
func appendBadge(dst []byte, label string, content badgeContent) []byte {
	text := html.EscapeString(label)
	labelWidth, countWidth := textWidth(label), textWidth(content.short)
	left, right := labelWidth+2*badgePad, countWidth+2*badgePad
	line, lineWidth := "", 0
	if len(content.trend) > 0 {
		line, lineWidth = trendLine(content.trend, left+badgePad), trendWidth+badgePad
	}
	return fmt.Appendf(dst, badgeSVG, text+": "+content.full, text, content.short,
		left+lineWidth+right, left, lineWidth+right, float64(left)/2, float64(left+lineWidth)+float64(right)/2, labelWidth, countWidth, line)
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

// textWidth returns the width of text at 11 px. Characters outside of the table count as wide as the
// widest common one, or as 1 em if they have three bytes or more, as those of East Asia do.
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
