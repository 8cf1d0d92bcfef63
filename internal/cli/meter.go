package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/transfer"
)

// meter shows the progress of a long command on a terminal, as a bar if the total is known. If the
// output is not a terminal it shows nothing. It is not safe for concurrent use.
type meter struct {
	out   io.Writer // nil: not a terminal
	what  string
	total int64 // the final value of at's done; 0 if unknown
	began time.Time
	last  time.Time
	shown bool
}

const (
	// meterInterval is the time between two updates.
	meterInterval = 200 * time.Millisecond
	// barCells is the width of a bar.
	barCells = 24
)

// meter returns a meter that is shown if standard error is a terminal.
func (p *process) meter(what string) *meter {
	m := &meter{what: what, began: time.Now()}
	if server.IsTerminal(p.stderr) {
		m.out = p.stderr
	}
	return m
}

// at shows how much is done, and a description of it.
func (m *meter) at(done int64, description string) {
	now := time.Now()
	if m.out == nil || now.Sub(m.last) < meterInterval {
		return
	}
	m.last, m.shown = now, true
	bar := ""
	if m.total > 0 {
		part := min(float64(done)/float64(m.total), 1)
		cells := int(part * barCells)
		bar = fmt.Sprintf(" [%s%s] %3.0f%%", strings.Repeat("█", cells), strings.Repeat("░", barCells-cells), part*100)
	}
	fmt.Fprintf(m.out, "\r%s%s  %s%s", m.what, bar, description, clearLine)
}

// end removes the line.
func (m *meter) end() {
	if m.shown {
		fmt.Fprintf(m.out, "\r%s", clearLine)
		m.shown = false
	}
}

// rate returns the number of items per second since the start, n in total.
func (m *meter) rate(n int64) string {
	seconds := max(time.Since(m.began).Seconds(), 0.001) // not 0
	return thousands(int64(float64(n)/seconds)) + "/s"
}

// progress describes the topics and contributions that were transferred, and the rate.
func (m *meter) progress(done transfer.Totals) string {
	return fmt.Sprintf("%s topics, %s contributions, %s", thousands(done.Topics), thousands(done.Contributions), m.rate(max(done.Topics, done.Contributions)))
}

// megabytes writes a number of bytes.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
