package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/server"
)

// meter shows on a terminal how far something long has come, as a bar where its end is
// known. Elsewhere it says nothing. It is for one goroutine.
type meter struct {
	out   io.Writer // nil: nobody watches
	what  string
	total int64 // of done; 0 while it is unknown
	began time.Time
	last  time.Time
	shown bool
}

const (
	// meterEvery is the time between two lines: often enough to be seen moving.
	meterEvery = 200 * time.Millisecond
	// barCells is the width of a bar.
	barCells = 24
)

// meter returns one that shows itself where standard error is a terminal.
func (p *process) meter(what string) *meter {
	m := &meter{what: what, began: time.Now()}
	if server.IsTerminal(p.stderr) {
		m.out = p.stderr
	}
	return m
}

// at says that so much is done, and what that is in words.
func (m *meter) at(done int64, words string) {
	now := time.Now()
	if m.out == nil || now.Sub(m.last) < meterEvery {
		return
	}
	m.last, m.shown = now, true
	bar := ""
	if m.total > 0 {
		part := min(float64(done)/float64(m.total), 1)
		cells := int(part * barCells)
		bar = fmt.Sprintf(" [%s%s] %3.0f%%", strings.Repeat("█", cells), strings.Repeat("░", barCells-cells), part*100)
	}
	fmt.Fprintf(m.out, "\r%s%s  %s%s", m.what, bar, words, clearLine)
}

// end takes the line away.
func (m *meter) end() {
	if m.shown {
		fmt.Fprintf(m.out, "\r%s", clearLine)
		m.shown = false
	}
}

// rate says how many of something were done a second.
func (m *meter) rate(n int64) string {
	seconds := time.Since(m.began).Seconds()
	if seconds < 0.001 {
		return thousands(n) + "/s"
	}
	return thousands(int64(float64(n)/seconds)) + "/s"
}

// megabytes writes a number of bytes.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
