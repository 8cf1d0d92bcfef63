package web

import "strconv"

// articleTopic is what the demo's article counts.
const articleTopic = "default/likes/hello"

// view is what the demo's templates see.
type view struct {
	Name      string // of the page's template
	Title     string
	Base      string // the base path, without a slash at the end
	Path      string // where this page is, base path included
	Topic     string // the article's
	Pleasures []pleasure
	Total     int64 // over all pleasures

	counts map[string]int64
}

// Count returns a topic's number, 0 where nothing is known of it.
func (v view) Count(topic string) int64 { return v.counts[topic] }

// Grouped writes n as English does: 12,345.
func (v view) Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// form is a heart without JavaScript: it posts, and comes back to the page.
type form struct {
	Action, Return, Label, Grouped string
}

// Form returns the form of a topic's heart.
func (v view) Form(topic, label string) form {
	return form{
		Action:  v.Base + "/v1/" + topic,
		Return:  v.Path,
		Label:   label,
		Grouped: v.Grouped(v.Count(topic)),
	}
}
