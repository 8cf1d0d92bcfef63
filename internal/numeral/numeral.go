// Package numeral parses counts that people, spreadsheets and other programs wrote. Importers,
// seeds and commands use it, so that a text means the same number everywhere.
//
// It keeps one invariant: a text is a number only if it has one reading. 2.000 may be 2 or
// 2000, and 0042 may be 42 or, in octal, 34. The errors of both show the readings.
package numeral

import (
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
	// maxFraction is the number of digits that a message shows after the point.
	maxFraction = 40
)

// Parse parses a count: a whole number from 0 to [tally.MaxValue], with optional white space
// around it. Its error begins with the text and shows the readings if there are several.
func Parse(text string) (int64, error) {
	if len(text) > maxText {
		return 0, fmt.Errorf("%.40q is too long for a count; it should be %s", text, want)
	}
	return read(text, readingsOf(strings.TrimSpace(text)))
}

// jsonExponent matches a JSON number with an exponent up to 39. 10^39 exceeds every count, and
// larger exponents would take memory.
var jsonExponent = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?[eE][+-]?0*[0-3]?[0-9]$`)

// ParseJSON parses a JSON or TOML number as [Parse] does, but accepts exponents: unlike
// spreadsheets, programs do not round numbers with exponents.
func ParseJSON(number string) (int64, error) {
	if len(number) <= maxText && jsonExponent.MatchString(number) {
		return read(number, []reading{{value: decimal(number)}})
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
	if len(readings) == 0 {
		return 0, fmt.Errorf("%.40q is not a number; it should be %s", text, want)
	}
	first := readings[0]
	if slices.ContainsFunc(readings, func(other reading) bool { return other.value != first.value }) {
		return 0, ambiguous(text, readings)
	}
	switch {
	case strings.Contains(first.value, "."):
		return 0, fmt.Errorf("%.40q is %s and not whole; it should be %s", text, first.value, want)
	case first.instead != "":
		return 0, ambiguous(text, []reading{first, {value: first.instead}})
	}
	n, err := strconv.ParseInt(first.value, 10, 64)
	if err != nil || n < 0 || n > tally.MaxValue {
		return 0, fmt.Errorf("%.40q is out of range; it should be %s", text, want)
	}
	return n, nil
}

func ambiguous(text string, readings []reading) error {
	var shown []string
	for _, each := range readings {
		if each.how != "" {
			each.value += " (" + each.how + ")"
		}
		shown = append(shown, each.value)
	}
	return fmt.Errorf("%.40q can be read as %s; write the digits alone", text, strings.Join(shown, " or as "))
}

// notations are the forms of numbers that could also be something else.
var notations = []struct {
	form         *regexp.Regexp
	how, instead string
}{
	{regexp.MustCompile(`^0[xX][0-9a-fA-F_]+$`), "hexadecimal", "text"},
	{regexp.MustCompile(`^0[oO][0-7_]+$`), "octal", "text"},
	{regexp.MustCompile(`^0[bB][01_]+$`), "binary", "text"},
	{regexp.MustCompile(`^0[xX][0-9a-fA-F]+(\.[0-9a-fA-F]*)?[pP][+-]?[0-9]{1,3}$`), "hexadecimal, with an exponent", "text"},
	{regexp.MustCompile(`^[0-9]+([.,][0-9]+)?[eE][+-]?0*[0-3]?[0-9]$`), "with an exponent", "a longer number that a spreadsheet shortened"},
	{regexp.MustCompile(`^[0-9]{1,9}(:[0-5]?[0-9]){1,3}$`), "to base 60, in YAML 1.1", "a time"},
}

// readingsOf returns the readings of text; none if it is not a number.
func readingsOf(text string) []reading {
	sign, plain := "", text
	if text != "" && (text[0] == '+' || text[0] == '-') {
		sign, plain = strings.TrimPrefix(text[:1], "+"), text[1:]
	}
	all := unsignedReadings(plain)
	for i := range all {
		if all[i].value != "0" {
			all[i].value = sign + all[i].value
		}
	}
	return all
}

func unsignedReadings(text string) []reading {
	if digits.MatchString(text) {
		return wholeReadings(text)
	}
	for _, each := range notations {
		if !each.form.MatchString(text) {
			continue
		}
		if value := decimal(text); value != "" {
			return []reading{{value, each.how, each.instead}}
		}
	}
	return separatedReadings(text)
}

// decimal returns the exact value of a number in one of the notations; empty if it is none.
func decimal(text string) string {
	value := new(big.Rat)
	for part := range strings.SplitSeq(text, ":") {
		digit, ok := new(big.Rat).SetString(strings.NewReplacer(",", ".", "_", "").Replace(part))
		if !ok {
			return ""
		}
		value.Add(value.Mul(value, big.NewRat(60, 1)), digit)
	}
	if value.IsInt() {
		return value.Num().String()
	}
	return strings.TrimRight(value.FloatString(maxFraction), "0")
}

// wholeReadings returns the readings of digits. YAML 1.1 and C read digits behind a zero as
// octal.
func wholeReadings(text string) []reading {
	value := withoutZeros(text)
	if n, err := strconv.ParseUint(text, 8, 64); err == nil && text[0] == '0' && strconv.FormatUint(n, 10) != value {
		return []reading{{value: value, how: "decimal"}, {value: strconv.FormatUint(n, 10), how: "octal"}}
	}
	return []reading{{value: value}}
}

func withoutZeros(text string) string {
	if text = strings.TrimLeft(text, "0"); text == "" {
		return "0"
	}
	return text
}

var (
	digits = regexp.MustCompile(`^[0-9]+$`)
	// groups matches groups of three digits or, with commas, of four (1,0000) or as in India
	// (1,00,000).
	groups = regexp.MustCompile(`^[0-9]{1,3}((,[0-9]{3})+|(\.[0-9]{3})+|(_[0-9]{3})+|('[0-9]{3})+|( [0-9]{3})+)$` +
		`|^[0-9]{1,4}(,[0-9]{4})+$|^[0-9]{1,2}(,[0-9]{2})+,[0-9]{3}$`)
	fraction = regexp.MustCompile(`^(.+)([.,])([0-9]+)$`)
	// noGroups matches fractions such as 0.500.
	noGroups = regexp.MustCompile(`^0.*[1-9]`)
)

// separatedReadings returns the readings of digits with one or more separators: as groups of
// digits, and as a fraction after the last comma or point.
func separatedReadings(text string) (all []reading) {
	text = strings.Map(commonSeparator, text)
	isGrouped := func(text string) bool { return groups.MatchString(text) && !noGroups.MatchString(text) }
	if isGrouped(text) {
		all = append(all, reading{value: withoutSeparators(text), how: "groups of digits"})
	}
	if found := fraction.FindStringSubmatch(text); found != nil {
		whole, separator, rest := found[1], found[2], strings.TrimRight(found[3], "0")
		if digits.MatchString(whole) || isGrouped(whole) && !strings.Contains(whole, separator) {
			value := strings.TrimSuffix(withoutSeparators(whole)+"."+rest, ".")
			all = append(all, reading{value: value, how: "decimal fraction"})
		}
	}
	if len(all) == 2 && all[0].value == all[1].value {
		return all[:1]
	}
	return all
}

// commonSeparator replaces all spaces by one, and all apostrophes, which separate groups of
// digits in some languages.
func commonSeparator(c rune) rune {
	switch {
	case c == '\u2019' || c == '\u02bc' || c == '\u066c':
		return '\''
	case unicode.Is(unicode.Zs, c):
		return ' '
	}
	return c
}

func withoutSeparators(text string) string {
	return withoutZeros(strings.NewReplacer(",", "", ".", "", "_", "", "'", "", " ", "").Replace(text))
}
