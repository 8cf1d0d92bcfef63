package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

const historyDetails = `
Days and hours are those of UTC. The last line has the current count. A terminal shows a bar
for each line; elsewhere the output is CSV.
`

const historyExamples = `
Examples:
  tallycast history default/likes/hello
  tallycast history --by hour --last 48 default/likes/hello
  tallycast history --url https://counts.example.com --last 400 blog/likes/hello > likes.csv
`

// historyCommand shows the history of a topic.
type historyCommand struct {
	publicService
	period tally.Period
	last   int
}

// defaultPoints is the number of points unless --last is given: a month of days.
const defaultPoints = 30

func (c *historyCommand) flags() []config.Setting {
	return append([]config.Setting{
		{Name: "by", Value: "PERIOD", Default: tally.Day.String(), Parse: config.Into(&c.period, parsePeriod), Help: "day or hour."},
		{Name: "last", Value: "N", Default: strconv.Itoa(defaultPoints), Parse: config.Into(&c.last, parsePoints), Help: "The number of days or hours, up to 400 days or 192 hours."},
	}, c.publicService.flags()...)
}

func parsePeriod(text string) (tally.Period, error) {
	period, err := tally.ParsePeriod(text)
	if err != nil {
		err = errors.New(tally.AsError(err).Message)
	}
	return period, err
}

func parsePoints(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > tally.Day.Max() {
		return 0, fmt.Errorf("%q should be a whole number from 1 to %d", text, tally.Day.Max())
	}
	return n, nil
}

// historyTimeout bounds the answer of the service.
const historyTimeout = 10 * time.Second

// historyPoint is a point of the answer.
type historyPoint struct {
	At    time.Time
	Count int64
}

func (c *historyCommand) run(p *process) error {
	topics, err := parseTopics(p.args)
	if err != nil {
		return err
	}
	if c.last > c.period.Max() {
		return usagef("--last is %d; with --by %[3]s it is at most %[2]d", c.last, c.period.Max(), c.period)
	}
	points, err := c.read(p.ctx, topics[0])
	if err != nil {
		return err
	}
	if server.IsTerminal(p.stdout) {
		return plotHistory(p.stdout, c.period, points)
	}
	text := []byte("at,count\n")
	for _, point := range points {
		text = fmt.Appendf(text, "%s,%d\n", point.At.UTC().Format(time.RFC3339), point.Count)
	}
	_, err = p.stdout.Write(text)
	return err
}

// read returns the points of a topic.
func (c *historyCommand) read(ctx context.Context, topic string) ([]historyPoint, error) {
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	path := (&url.URL{Path: "/v1/history/" + topic}).EscapedPath()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s%s?by=%s&last=%d", c.at, path, c.period, c.last), nil)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, connectionError(c.at, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s (%s) answered %s: %s", printable(c.at), c.source, response.Status, reason(response.Body))
	}
	var answer struct{ Points []historyPoint }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s answered with unexpected data: %w", printable(c.at), err)
	}
	return answer.Points, nil
}

// plotHistory prints a bar for each point.
func plotHistory(out io.Writer, period tally.Period, points []historyPoint) error {
	const columns = 50 // of the longest bar, so that a line has fewer than 80
	if len(points) == 0 {
		_, err := fmt.Fprintln(out, "no history yet")
		return err
	}
	layout, greatest, width := "2006-01-02", int64(1), 0
	if period == tally.Hour {
		layout = "2006-01-02 15:04"
	}
	for _, point := range points {
		greatest, width = max(greatest, point.Count), max(width, len(thousands(point.Count)))
	}
	var text strings.Builder
	for _, point := range points {
		bar := bar(float64(point.Count) / float64(greatest) * columns)
		line := fmt.Sprintf("%s %*s %s", point.At.UTC().Format(layout), width, thousands(point.Count), bar)
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// bar returns a bar of that many columns, rounded to eighths.
func bar(columns float64) string {
	eighths := int(columns*8 + 0.5)
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return text
}
