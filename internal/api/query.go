package api

import (
	"iter"
	"net/url"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// queryPairs returns the parameters of a query. Unlike [url.ParseQuery] it accepts semicolons in
// them, and continues after a broken encoding.
func queryPairs(query string) iter.Seq2[string, name] {
	return func(yield func(string, name) bool) {
		for query != "" {
			var pair string
			pair, query, _ = strings.Cut(query, "&")
			if pair == "" {
				continue
			}
			key, text, _ := strings.Cut(pair, "=")
			if decoded, err := url.QueryUnescape(key); err == nil {
				key = decoded
			}
			value := name{text: text, isBroken: true}
			if decoded, err := url.QueryUnescape(text); err == nil {
				value = name{text: decoded}
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

// name is the name of a topic that a client sends, or the value of another parameter.
type name struct {
	text     string
	isBroken bool // its percent-encoding is broken; text is as sent
}

var errBrokenName = tally.Errorf(tally.CodeBadTopic, "the percent-encoding is broken; write %% as %%25")

// names returns the values of a parameter.
func (q *call) names(parameter string) (values []name) {
	for key, value := range queryPairs(q.r.URL.RawQuery) {
		if key == parameter {
			values = append(values, value)
		}
	}
	return values
}

// parameter returns the value of a parameter that may be given once.
// Errors: bad_body, for several and for a broken encoding.
func (q *call) parameter(name string) (text string, found bool, err error) {
	switch values := q.names(name); {
	case len(values) == 0:
		return "", false, nil
	case len(values) > 1:
		return "", false, tally.Errorf(tally.CodeBadBody, "the parameter %s is given twice", name)
	case values[0].isBroken:
		return "", false, tally.Errorf(tally.CodeBadBody, "%s=%.40q has a broken percent-encoding", name, values[0].text)
	default:
		return values[0].text, true, nil
	}
}
