// Package numeral parses counts that people, spreadsheets and other programs wrote. Importers,
// seeds and commands use it, so that a text means the same number everywhere.
//
// It keeps one invariant: a text is a number only if it has one reading. 2.000 may be 2 or
// 2000, and 0042 may be 42 or, in octal, 34. The errors of both show the readings.
package numeral

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxText bounds a text, in bytes. The greatest count has 16 digits, more characters with
	// groups and a fraction.
	maxText = 63
	// maxExponent bounds the exponent of a number. 10^40 exceeds every count, and larger
	// exponents would take memory.
	maxExponent = 40
)

// Parse parses a count: a whole number from 0 to [tally.MaxValue], with optional white space
// around it. Its error begins with the text and shows the readings if there are several.
func Parse(text string) (int64, error) {
	if len(text) > maxText {
		return 0, fmt.Errorf("%q is too long for a count; it should be %s", shorten(text), want)
	}
	return read(text, readingsOf(strings.TrimSpace(text)))
}

// ParseJSON parses a JSON or TOML number as [Parse] does, but accepts exponents: unlike
// spreadsheets, programs do not round numbers with exponents.
func ParseJSON(number string) (int64, error) {
	if len(number) <= maxText && exponent.MatchString(strings.TrimLeft(number, "+-")) {
		if value, ok := expand(number); ok {
			return read(number, []reading{value})
		}
	}
	return Parse(number)
}

// want describes a valid count.
var want = fmt.Sprintf("a whole number from 0 to %d", int64(tally.MaxValue))

// reading is one meaning of a text.
type reading struct {
	value   string // digits, with a point if it is not whole
	how     string // the notation
	instead string // what the text could also be, besides a number
}

// read returns the count of the readings if they are the same.
func read(text string, readings []reading) (int64, error) {
	text = shorten(text)
	if len(readings) == 0 {
		return 0, fmt.Errorf("%q is not a number; it should be %s", text, want)
	}
	for _, other := range readings[1:] {
		if other.value != readings[0].value {
			return 0, ambiguous(text, readings)
		}
	}
	switch value := readings[0].value; {
	case strings.Contains(value, "."):
		return 0, fmt.Errorf("%q is %s and not whole; it should be %s", text, value, want)
	case readings[0].instead != "":
		return 0, fmt.Errorf("%q can be read as %s (%s) or as %s; write the digits alone", text, value, readings[0].how, readings[0].instead)
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || n > tally.MaxValue {
			return 0, fmt.Errorf("%q is out of range; it should be %s", text, want)
		}
		return n, nil
	}
}

func ambiguous(text string, readings []reading) error {
	var shown []string
	for _, each := range readings {
		one := each.value
		if each.how != "" {
			one += " (" + each.how + ")"
		}
		if !slices.Contains(shown, one) {
			shown = append(shown, one)
		}
	}
	return fmt.Errorf("%q can be read as %s; write the digits alone", text, strings.Join(shown, " or as "))
}

var (
	digits      = regexp.MustCompile(`^[0-9]+$`)
	prefixed    = regexp.MustCompile(`^0[xXoObB][0-9a-fA-F_]+$`)
	hexadecimal = regexp.MustCompile(`^0[xX][0-9a-fA-F]+(\.[0-9a-fA-F]*)?[pP][+-]?[0-9]{1,3}$`)
	exponent    = regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+$`)
	sexagesimal = regexp.MustCompile(`^[0-9]{1,9}(:[0-5]?[0-9]){1,3}$`)
)

// readingsOf returns the readings of text; none if it is not a number.
func readingsOf(text string) []reading {
	sign, plain := "", text
	if text != "" && (text[0] == '+' || text[0] == '-') {
		sign, plain = strings.TrimPrefix(text[:1], "+"), text[1:]
	}
	var all []reading
	switch {
	case digits.MatchString(plain):
		all = wholeReadings(plain)
	case prefixed.MatchString(plain):
		if n, err := strconv.ParseUint(strings.ReplaceAll(plain, "_", ""), 0, 64); err == nil {
			how := map[byte]string{'x': "hexadecimal", 'o': "octal", 'b': "binary"}[plain[1]|0x20]
			all = []reading{{strconv.FormatUint(n, 10), how, "text"}}
		}
	case hexadecimal.MatchString(plain):
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			all = []reading{{strconv.FormatFloat(f, 'f', -1, 64), "hexadecimal, with an exponent", "text"}}
		}
	case exponent.MatchString(plain):
		if value, ok := expand(strings.Replace(plain, ",", ".", 1)); ok {
			all = []reading{{value.value, "with an exponent", "a longer number that a spreadsheet shortened"}}
		}
	case sexagesimal.MatchString(plain):
		n := int64(0)
		for part := range strings.SplitSeq(plain, ":") {
			digit, _ := strconv.ParseInt(part, 10, 64) // the expression bounds its length
			n = n*60 + digit
		}
		all = []reading{{strconv.FormatInt(n, 10), "to base 60, in YAML 1.1", "a time"}}
	default:
		all = separatedReadings(plain)
	}
	for i := range all {
		if all[i].value != "0" {
			all[i].value = sign + all[i].value
		}
	}
	return all
}

// wholeReadings returns the readings of digits. YAML 1.1 and C read digits behind a zero as
// octal.
func wholeReadings(text string) []reading {
	value := withoutZeros(text)
	all := []reading{{value: value}}
	if len(text) == 1 || text[0] != '0' {
		return all
	}
	if n, err := strconv.ParseUint(text, 8, 64); err == nil && strconv.FormatUint(n, 10) != value {
		all[0].how = "decimal"
		all = append(all, reading{value: strconv.FormatUint(n, 10), how: "octal"})
	}
	return all
}

func withoutZeros(text string) string {
	if text = strings.TrimLeft(text, "0"); text == "" {
		return "0"
	}
	return text
}

// separatedReadings returns the readings of digits with one or more separators: as
// groups of digits, and as a fraction after the last comma or point.
func separatedReadings(text string) []reading {
	parts, separators, err := split(text)
	if err != nil {
		return nil
	}
	last := len(separators) - 1
	var all []reading
	if grouped(parts, separators) {
		all = append(all, reading{value: withoutZeros(strings.Join(parts, "")), how: "groups of digits"})
	}
	if decimal := separators[last]; decimal == ',' || decimal == '.' {
		whole, fraction := parts[:last+1], strings.TrimRight(parts[last+1], "0")
		if len(whole) == 1 || grouped(whole, separators[:last]) && separators[0] != decimal {
			value := withoutZeros(strings.Join(whole, ""))
			if fraction != "" {
				value += "." + fraction
			}
			all = append(all, reading{value: value, how: "decimal fraction"})
		}
	}
	if len(all) == 1 || len(all) == 2 && all[0].value == all[1].value {
		all = []reading{{value: all[0].value}}
	}
	return all
}

// split returns the groups of digits in text and one or more separators between them.
func split(text string) (parts []string, separators []rune, err error) {
	begin := 0
	for at, c := range text {
		if c >= '0' && c <= '9' {
			continue
		}
		separator, ok := separatorOf(c)
		if !ok || at == begin {
			return nil, nil, errors.New("not a digit")
		}
		parts, separators = append(parts, text[begin:at]), append(separators, separator)
		begin = at + len(string(c))
	}
	if begin == len(text) || len(separators) == 0 {
		return nil, nil, errors.New("no digit at the end")
	}
	return append(parts, text[begin:]), separators, nil
}

// separatorOf reports whether a character separates groups of digits in some language. It
// returns the same separator for all spaces, and for all apostrophes.
func separatorOf(c rune) (rune, bool) {
	switch {
	case c == ',' || c == '.' || c == '_':
		return c, true
	case c == '\'' || c == '\u2019' || c == '\u02bc' || c == '\u066c':
		return '\'', true
	case unicode.Is(unicode.Zs, c):
		return ' ', true
	}
	return 0, false
}

// grouped reports whether the parts are groups of three digits or, with commas, of four
// (1,0000) or as in India (1,00,000).
func grouped(parts []string, separators []rune) bool {
	for _, separator := range separators[1:] {
		if separator != separators[0] {
			return false
		}
	}
	sized := func(first, middle, last int) bool {
		n := len(parts) - 1
		for _, part := range parts[1:n] {
			if len(part) != middle {
				return false
			}
		}
		return len(parts[0]) <= first && len(parts[n]) == last
	}
	if parts[0][0] == '0' && strings.Trim(strings.Join(parts, ""), "0") != "" {
		return false // 0.500 has no groups
	}
	return sized(3, 3, 3) || separators[0] == ',' && (sized(4, 4, 4) || len(parts) > 2 && sized(2, 2, 3))
}

// expand returns the exact value of a number with an exponent.
func expand(text string) (reading, bool) {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return reading{}, false
	}
	if power, err := strconv.Atoi(text[at+1:]); err != nil || power > maxExponent || power < -maxExponent {
		return reading{}, false
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok {
		return reading{}, false
	}
	if value.IsInt() {
		return reading{value: value.Num().String()}, true
	}
	return reading{value: value.FloatString(maxExponent)}, true
}

// shorten returns the beginning of a text for messages.
func shorten(text string) string {
	const most = 40 // characters
	if short := []rune(text); len(short) > most {
		return string(short[:most]) + "…"
	}
	return text
}
