package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tallycast/tallycast/internal/tally"
)

// identity is the visitor that a body names.
type identity struct {
	visitor string // empty if not named
	token   string // of a signed visitor, not verified; empty if there is none
}

// set sets the field visitor or visitor_token. Errors: bad_visitor.
func (i *identity) set(name string, raw json.RawMessage) (err error) {
	if name == "visitor" {
		i.visitor, err = parseVisitor(raw)
		return err
	}
	var ok bool
	if i.token, ok = parseString(raw); !ok || i.token == "" {
		return tally.Errorf(tally.CodeBadVisitor, "visitor_token must be a token that the site's backend signs")
	}
	return nil
}

// assertionBody is the body of an assertion.
type assertionBody struct {
	identity
	amount    int64
	hasAmount bool // whether the amount was given
	option    int64
	hasOption bool // whether the option was given
	withdraws bool // the call is DELETE, which means 0
}

// assertMessage is an assertion that a client sends on a WebSocket.
type assertMessage struct {
	assertionBody
	topic string
	id    int64
	hasID bool
	err   error // why the assertion is refused
}

// maxID is the greatest id of an assertion: JavaScript has no greater exact integer.
const maxID = 1<<53 - 1

// parseAssertMessage parses {"assert":"blog/likes/hello","visitor":"…","amount":1,"id":7}.
// It returns an error if the id is missing or invalid. Other errors are in the result.
// Errors: bad_body.
func parseAssertMessage(message []byte) (m assertMessage, err error) {
	if body, ok := parseFastAssertion(message, &m); ok && m.topic != "" && m.hasID && m.id <= maxID {
		m.assertionBody = body
		return m, nil
	}
	fields, err := parseObject(message, `{"assert":"site/metric/key","visitor":"…","amount":1,"id":7}`)
	if err != nil {
		return assertMessage{}, err
	}
	m = assertMessage{}
	if m.id, err = strconv.ParseInt(string(fields["id"]), 10, 64); err != nil || m.id < 0 || m.id > maxID {
		return assertMessage{}, tally.Errorf(tally.CodeBadBody, "an assertion must have an id, a whole number from 0 to %d; its answer has the same id", int64(maxID))
	}
	var ok bool
	if m.topic, ok = parseString(fields["assert"]); !ok {
		m.err = tally.Errorf(tally.CodeBadTopic, "assert must be a topic: site/metric/key")
		return m, nil
	}
	delete(fields, "id")
	delete(fields, "assert")
	m.assertionBody, m.err = parseAssertionFields(fields)
	return m, nil
}

// contribution returns the amount that the body asserts to a topic with rule, in a choice metric the
// option. It is 0 if the call withdraws, and 1 if the body has no amount. Errors: bad_amount.
func (a assertionBody) contribution(rule tally.Rule) (int64, error) {
	isChoice := rule.Kind == tally.Choice
	switch {
	case isChoice && a.hasAmount:
		return 0, tally.Errorf(tally.CodeBadAmount, "visitors choose an option of this metric: send option, a number from 1 to %d, or 0 to take the choice back, instead of amount", rule.Max)
	case !isChoice && a.hasOption:
		return 0, tally.Errorf(tally.CodeBadAmount, "this metric has no options: send amount instead of option")
	case a.withdraws && (a.amount != 0 || a.option != 0):
		return 0, tally.Errorf(tally.CodeBadAmount, "DELETE means the amount or option 0; use POST for another one")
	case a.withdraws:
		return 0, nil
	case isChoice && !a.hasOption:
		return 0, tally.Errorf(tally.CodeBadAmount, "option is required: send the number of the option chosen, from 1 to %d, or 0 to take the choice back", rule.Max)
	case isChoice:
		return a.option, nil
	case a.hasAmount:
		return a.amount, nil
	}
	return 1, nil
}

// parseAssertion parses {"visitor":"…","amount":1} or {"visitor":"…","option":1}. All fields
// may be left out or null, and the body may be empty. Errors: bad_body, bad_visitor,
// bad_amount.
func parseAssertion(body []byte) (a assertionBody, err error) {
	if a, ok := parseFastAssertion(body, nil); ok {
		return a, nil
	}
	fields, err := parseObject(body, `{"visitor":"…","amount":1}`)
	if err != nil {
		return assertionBody{}, err
	}
	return parseAssertionFields(fields)
}

func parseAssertionFields(fields map[string]json.RawMessage) (a assertionBody, err error) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch raw := string(fields[name]); {
		case name != "visitor" && name != "visitor_token" && name != "amount" && name != "option":
			return assertionBody{}, unknownFieldError(name, "visitor, visitor_token, amount and option")
		case raw == "null":
		case name == "visitor" || name == "visitor_token":
			if err := a.identity.set(name, fields[name]); err != nil {
				return assertionBody{}, err
			}
		default:
			if err := a.setNumber(name, raw); err != nil {
				return assertionBody{}, err
			}
		}
	}
	return a, nil
}

// setNumber sets the field amount or option. Errors: bad_amount.
func (a *assertionBody) setNumber(name, text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return tally.Errorf(tally.CodeBadAmount, "%s must be a whole number, not %.40q", name, text)
	}
	if name == "option" {
		a.option, a.hasOption = n, true
	} else {
		a.amount, a.hasAmount = n, true
	}
	return nil
}

func parseVisitor(raw json.RawMessage) (string, error) {
	visitor, ok := parseString(raw)
	if !ok {
		return "", tally.Errorf(tally.CodeBadVisitor, "visitor must be a string")
	}
	return visitor, tally.ValidateVisitor(visitor)
}

// parseFastAssertion parses bodies as the elements send them, without allocating maps: an object with
// each of the fields at most once and without escapes. It returns false for all others. For those
// that it parses, its result is that of parseAssertion. It stores the topic and the id of a message
// in m, if m is not nil.
func parseFastAssertion(body []byte, m *assertMessage) (a assertionBody, ok bool) {
	if len(body) == 0 {
		return a, true
	}
	s := scanner{body}
	if !s.take('{') {
		return a, false
	}
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return a, false
		}
		name, ok := s.text()
		if !ok || !s.take(':') {
			return a, false
		}
		switch {
		case string(name) == "visitor" && a.visitor == "":
			visitor, ok := s.text()
			if !ok || tally.ValidateVisitor(string(visitor)) != nil {
				return a, false
			}
			a.visitor = string(visitor)
		case string(name) == "visitor_token" && a.token == "":
			token, ok := s.text()
			if !ok || len(token) == 0 || !utf8.Valid(token) {
				return a, false
			}
			a.token = string(token)
		case string(name) == "amount" && !a.hasAmount:
			if a.amount, a.hasAmount = s.digits(); !a.hasAmount {
				return a, false
			}
		case string(name) == "option" && !a.hasOption:
			if a.option, a.hasOption = s.digits(); !a.hasOption {
				return a, false
			}
		case string(name) == "assert" && m != nil && m.topic == "":
			topic, ok := s.text()
			if !ok {
				return a, false
			}
			m.topic = string(topic)
		case string(name) == "id" && m != nil && !m.hasID:
			if m.id, m.hasID = s.digits(); !m.hasID {
				return a, false
			}
		default:
			return a, false
		}
	}
	s.skip()
	return a, len(s.rest) == 0
}

// scanner reads a subset of JSON.
type scanner struct{ rest []byte }

func (s *scanner) skip() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// take skips c. It returns false if c is not next.
func (s *scanner) take(c byte) bool {
	s.skip()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// text reads a string without escapes.
func (s *scanner) text() (text []byte, ok bool) {
	if !s.take('"') {
		return nil, false
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text, s.rest = s.rest[:i], s.rest[i+1:]
			return text, true
		case c < ' ' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

// maxDigits bounds a number that the scanner reads: it fits an int64.
const maxDigits = 18

// digits reads a whole number of at most maxDigits digits without a sign.
func (s *scanner) digits() (n int64, ok bool) {
	s.skip()
	i := 0
	for ; i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9'; i++ {
		if i == maxDigits {
			return 0, false
		}
		n = 10*n + int64(s.rest[i]-'0')
	}
	if i == 0 || i > 1 && s.rest[0] == '0' {
		return 0, false
	}
	s.rest = s.rest[i:]
	return n, true
}
