package seed

import (
	"strings"
	"time"
)

// dateLayouts are the formats of dates that Hugo and Jekyll read, the usual ones first.
var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04",
	"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 -07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05-0700",
	"2006-01-02 15:04 -0700", "2006-01-02 15:04:05 -0700 MST", "2006-01-02 15:04:05 MST", "2006-01-02T15:04Z07:00", "2006-1-2", "2006-1-2 15:04:05", "2006-1-2 15:04",
	"2006/01/02", "2006/01/02 15:04:05", time.RFC1123Z, time.RFC1123, time.RFC822Z, time.RFC822, time.RFC850, time.ANSIC, time.UnixDate,
	"02 Jan 2006", "2 Jan 2006", "Jan 2, 2006", "2 January 2006", "January 2, 2006",
}

// dateOf parses a date. A date without a zone is in location.
func dateOf(value any, location *time.Location) (time.Time, bool) {
	text := strings.TrimSpace(textOf(value))
	for _, layout := range dateLayouts {
		if at, err := time.ParseInLocation(layout, text, location); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// location returns the time zone with that name; other if there is none.
func location(name string, other *time.Location) *time.Location {
	if name == "" {
		return other
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return other
}
