package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
)

// newLogger returns the log, and whether people read it as it is written.
func newLogger(c config, out io.Writer) (log *slog.Logger, forPeople bool) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.logLevel)) // checked: one of the four words
	options := &slog.HandlerOptions{Level: level}
	forPeople = c.logFormat == "text" || c.logFormat == "auto" && isTerminal(out)
	if forPeople {
		options.ReplaceAttr = shortTime
		return slog.New(slog.NewTextHandler(out, options)), true
	}
	options.ReplaceAttr = writtenDuration
	return slog.New(slog.NewJSONHandler(out, options)), false
}

// writtenDuration writes a duration as text does and as the settings take it:
// 10s, where JSON would have a number of nanoseconds that does not say so.
func writtenDuration(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// shortTime leaves out what whoever watches a terminal knows: the day and zone.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
	}
	return a
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
