package api

import (
	"iter"
	"net/url"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// queryPairs returns the parameters of a query. Unlike [url.ParseQuery] it separates them
// only at &, and continues after a broken encoding.
func queryPairs(query string) iter.Seq2[string, queryValue] {
	return func(yield func(string, queryValue) bool) {
		for query != "" {
			var pair string
			pair, query, _ = strings.Cut(query, "&")
			if pair == "" {
				continue
			}
			name, text, _ := strings.Cut(pair, "=")
			if decoded, err := url.QueryUnescape(name); err == nil {
				name = decoded
			}
			value := queryValue{text: text}
			if decoded, err := url.QueryUnescape(text); err == nil {
				value = queryValue{text: decoded, isValid: true}
			}
			if !yield(name, value) {
				return
			}
		}
	}
}

// queryValue is the value of a parameter.
type queryValue struct {
	text    string
	isValid bool // false for a broken encoding; text is then as sent
}

// hasParameter reports whether the URL has a parameter of that name.
func (q *call) hasParameter(name string) bool {
	if q.r.URL.RawQuery == "" {
		return false
	}
	for each := range queryPairs(q.r.URL.RawQuery) {
		if each == name {
			return true
		}
	}
	return false
}

// parameter returns the value of a parameter that may be given once.
// Errors: bad_body, for several and for a broken encoding.
func (q *call) parameter(name string) (text string, found bool, err error) {
	for each, value := range queryPairs(q.r.URL.RawQuery) {
		switch {
		case each != name:
		case found:
			return "", false, tally.Errorf(tally.CodeBadBody, "the parameter %s is given twice", name)
		case !value.isValid:
			return "", false, tally.Errorf(tally.CodeBadBody, "%s=%.40q has a broken percent-encoding", name, value.text)
		default:
			text, found = value.text, true
		}
	}
	return text, found, nil
}

// name is a topic as a client names it.
type name struct {
	text     string
	isBroken bool // its percent-encoding is broken; text is as sent
}

var errBrokenName = tally.Errorf(tally.CodeBadTopic, "the percent-encoding is broken; write %% as %%25")

// names returns the values of a parameter.
func (q *call) names(parameter string) (names []name) {
	for each, value := range queryPairs(q.r.URL.RawQuery) {
		if each == parameter {
			names = append(names, name{value.text, !value.isValid})
		}
	}
	return names
}
