package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// trendDays is how many days the line of a badge has, as <tally-trend> without days.
	trendDays = 30
	// trendWidth is the width of a badge's line, in px: two for each day.
	trendWidth = 60
	// trendTop and trendBottom are the heights of the greatest and the least count, in px.
	trendTop, trendBottom = 5, 15
)

// trendContent reads the content of a topic's badge with a line.
func (a *API) trendContent(ctx context.Context, topic tally.Topic) (badgeContent, error) {
	history, err := a.options.Service.History(ctx, topic, tally.Day)
	if err != nil {
		return badgeContent{}, err
	}
	content := countContent(history.Count)
	points := history.Points(a.catalog.Rule(topic).Kind == tally.Presence, trendDays)
	for _, point := range points {
		content.trend = append(content.trend, point.Count)
	}
	if len(points) == 0 {
		return content, nil
	}
	// The line ends at the count beside it. The last point of presence may be higher.
	content.trend[len(points)-1] = history.Count
	if len(points) > 1 {
		content.full += fmt.Sprintf(" (%+d since %s)", history.Count-points[0].Count, points[0].At.Format(time.DateOnly))
	}
	return content, nil
}

// trendLine returns the SVG of a line of at most trendDays counts that begins left px from
// the left. The last count is at its end; earlier days without a count are empty.
func trendLine(counts []int64, left int) string {
	least, greatest := counts[0], counts[0]
	for _, count := range counts {
		least, greatest = min(least, count), max(greatest, count)
	}
	var x, y float64
	var points strings.Builder
	for i, count := range counts {
		x = float64(left) + trendWidth*float64(trendDays-len(counts)+i)/(trendDays-1)
		y = trendBottom - (trendBottom-trendTop)*float64(count-least)/float64(max(1, greatest-least))
		points.WriteString(decimal(x) + "," + decimal(y) + " ")
	}
	return fmt.Sprintf(`<polyline points="%s" fill="none" stroke="#fff" stroke-width="1.5" stroke-linejoin="round"/><circle cx="%s" cy="%s" r="2" fill="#fff"/>`,
		strings.TrimSuffix(points.String(), " "), decimal(x), decimal(y))
}

// decimal formats a coordinate with one decimal, which is as exact as a reader can see.
func decimal(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
