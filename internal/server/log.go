package server

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/tallycast/tallycast/internal/config"
)

// newLogger returns the logger, and whether it writes text for people.
func newLogger(c config.Config, out io.Writer) (log *slog.Logger, forPeople bool) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // the configuration was checked
	options := &slog.HandlerOptions{Level: level}
	forPeople = c.LogFormat == "text" || c.LogFormat == "auto" && IsTerminal(out)
	if forPeople {
		options.ReplaceAttr = shortTime
		return slog.New(slog.NewTextHandler(out, options)), true
	}
	options.ReplaceAttr = durationText
	return slog.New(slog.NewJSONHandler(out, options)), false
}

// durationText writes a duration in the form of the settings, such as 10s, instead of a number of
// nanoseconds.
func durationText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	return a
}

// shortTime writes the time without day and zone, which a reader at a terminal knows.
func shortTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		a.Value = slog.StringValue(a.Value.Time().Format("15:04:05.000"))
	}
	return a
}

// IsTerminal reports whether out is a terminal.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
