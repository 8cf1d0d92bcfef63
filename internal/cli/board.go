package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// historyLength is how many samples a sparkline shows: half a minute of them.
	historyLength = 30
	// Sequences of a terminal (ECMA-48): to the beginning of a line that many
	// above, and clear to the end of the line.
	upLines, clearLine = "\x1b[%dF", "\x1b[K"
)

// board shows a line a topic on a terminal, and writes over it.
type board struct {
	out     io.Writer
	rows    []*row
	byTopic map[string]*row
	width   int // of the longest topic, in characters
	drawn   bool
	event   string // the newest: live or stale
}

// row is one topic's line.
type row struct {
	topic   string
	known   bool
	count   int64
	reason  string  // why there is no number
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

func (b *board) hear(f frame, _ time.Time) {
	r := b.byTopic[f.Topic]
	switch {
	case f.Event == "live" || f.Event == "stale":
		b.event = f.Event
	case r == nil: // a beat
		return
	case f.Error != nil:
		r.reason = f.Error.Code + ": " + f.Error.Message
	default:
		r.known, r.count, r.reason = true, f.Count, ""
	}
	b.draw()
}

func (b *board) tick() {
	for _, r := range b.rows {
		if !r.known {
			continue
		}
		r.history = append(r.history, r.count)
		if over := len(r.history) - historyLength; over > 0 {
			r.history = r.history[over:]
		}
	}
	b.draw()
}

// draw writes all lines anew, in one write so that nothing flickers.
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
			what = fmt.Sprintf("%12s  %s", thousands(r.count), sparkline(r.history))
			if b.event == "stale" {
				what += "  (may be old: the service lost its store)"
			}
		}
		fmt.Fprintf(&text, "%s%s  %s%s\n", printable(r.topic), strings.Repeat(" ", b.width-utf8.RuneCountInString(r.topic)), what, clearLine)
	}
	_, _ = io.WriteString(b.out, text.String()) // nobody is left to be told where the terminal is gone
}

// sparkline draws how much was added between samples, each against the most; a
// number that does not move is a flat line, and one that falls leaves a gap.
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
			// The most gets the highest bar, the least that is something the second.
			line.WriteRune(steps[1+int((added-1)*int64(len(steps)-2)/max(most-1, 1))])
		}
	}
	return line.String()
}

// thousands writes n, which is not negative, with its digits in groups.
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
