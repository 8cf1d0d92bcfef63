package cli

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// historyLength is the number of samples of a sparkline: half a minute.
	historyLength = 30
	// Terminal sequences (ECMA-48): go up so many lines, and clear the rest of the line.
	upLines, clearLine = "\x1b[%dF", "\x1b[K"
)

// board shows a line for each topic on a terminal, and updates the lines in place.
type board struct {
	out     io.Writer
	rows    []*row
	byTopic map[string]*row
	width   int // of the longest topic, in characters
	drawn   bool
	event   string // the newest: live or stale
}

// row is the line of a topic.
type row struct {
	topic   string
	known   bool
	numbers tally.Numbers
	reason  string  // why there is no count
	history []int64 // samples, oldest first
}

func newBoard(out io.Writer, topics []string) *board {
	b := &board{out: out, byTopic: map[string]*row{}}
	for _, topic := range topics {
		if b.byTopic[topic] != nil {
			continue
		}
		r := &row{topic: topic}
		b.rows, b.byTopic[topic] = append(b.rows, r), r
		b.width = max(b.width, utf8.RuneCountInString(topic))
	}
	b.draw()
	return b
}

func (b *board) show(f frame, _ time.Time) {
	r := b.byTopic[f.Topic]
	switch {
	case f.Event == "live" || f.Event == "stale":
		b.event = f.Event
	case r == nil: // a frame without a topic
		return
	case f.Error != nil:
		r.reason = string(f.Error.Code) + ": " + f.Error.Message
	default:
		r.known, r.numbers, r.reason = true, f.numbers(), ""
	}
	b.draw()
}

// tick takes a sample, every sampleInterval.
func (b *board) tick() {
	for _, r := range b.rows {
		if !r.known {
			continue
		}
		r.history = append(r.history, r.numbers.Total)
		if over := len(r.history) - historyLength; over > 0 {
			r.history = r.history[over:]
		}
	}
	b.draw()
}

// draw writes all lines in one write, which avoids flicker.
func (b *board) draw() {
	var text strings.Builder
	if b.drawn {
		fmt.Fprintf(&text, upLines, len(b.rows))
	}
	b.drawn = true
	for _, r := range b.rows {
		what := "…"
		switch {
		case r.reason != "":
			what = printable(r.reason)
		case r.known:
			what = fmt.Sprintf("%12s  %s", r.numbers.Text(thousands), sparkline(r.history))
			if b.event == "stale" {
				what += "  (may be old: the service lost its store)"
			}
		}
		fmt.Fprintf(&text, "%s%s  %s%s\n", printable(r.topic), strings.Repeat(" ", b.width-utf8.RuneCountInString(r.topic)), what, clearLine)
	}
	_, _ = io.WriteString(b.out, text.String()) // the terminal may be gone
}

// sparkline draws the growth between samples, relative to the greatest. A constant count is
// a flat line, and a falling one leaves a gap.
func sparkline(samples []int64) string {
	const bars = "▁▂▃▄▅▆▇█"
	steps := []rune(bars)
	var most int64
	for i := 1; i < len(samples); i++ {
		most = max(most, samples[i]-samples[i-1])
	}
	var line strings.Builder
	for i := 1; i < len(samples); i++ {
		switch added := samples[i] - samples[i-1]; {
		case added < 0:
			line.WriteRune(' ')
		case added == 0:
			line.WriteRune(steps[0])
		default:
			// The greatest growth gets the highest bar, a growth of 1 the second lowest.
			line.WriteRune(steps[1+int((added-1)*int64(len(steps)-2)/max(most-1, 1))])
		}
	}
	return line.String()
}
