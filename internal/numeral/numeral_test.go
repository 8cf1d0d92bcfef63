package numeral_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/tally"
)

// A text with one reading is a number.
func TestParse_OneReading(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "12": 12, " 12\t": 12, "\u00a012": 12, "+12": 12, "-0": 0, "00": 0, "007": 7, "08": 8,
		"2.0": 2, "12.00": 12, "2,0": 2, "2,00": 2, "0.000": 0, "0.0": 0, "1234.000": 1234, "12.0000": 12,
		"1 234": 1234, "1\u00a0234\u00a0567": 1234567, "1\u202f234": 1234, "1\u2009234": 1234, "1'234": 1234, "1\u2019234'567": 1234567, "1_000": 1000, "1_000_000": 1000000,
		"1,234,567": 1234567, "1.234.567": 1234567, "1,234.00": 1234, "1.234,00": 1234, "1.234.567,0": 1234567, "1 234,00": 1234, "1'234.00": 1234,
		"1,00,000": 100000, "12,34,567": 1234567, "1,0000,0000": 100000000,
		"2251799813685248": tally.MaxValue, "2,251,799,813,685,248.00": tally.MaxValue,
	} {
		if got, err := numeral.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
}

// The error of a text with two readings, or of another number, shows the readings.
func TestParse_Errors(t *testing.T) {
	for text, shown := range map[string]string{
		"2.000": "2000 (groups of digits) or as 2 (decimal fraction)", "1.234": "1234 (groups of digits) or as 1.234 (decimal fraction)", "1,234": "1234", "100,000": "100000 (groups of digits) or as 100",
		"1,0000": "10000", "12.500": "12500", "-2.000": "-2000", "+2.000": "2000",
		"0042": "42 (decimal) or as 34 (octal)", "010": "10 (decimal) or as 8 (octal)", "-010": "-8",
		"0x1F": "31 (hexadecimal) or as text", "0x10": "16", "0o17": "15 (octal)", "0b101": "5 (binary)", "0X1f": "31",
		"1e3": "1000 (with an exponent) or as a longer number that a spreadsheet shortened", "1.23E+06": "1230000 (with", "1,5e3": "1500", "1:30": "90 (to base 60, in YAML 1.1) or as a time", "1:00:00": "3600", "01:30": "90",
		"1.5": "not whole", "0.500": "not whole", "1,234.5": "1234.5", "1.234,567": "1234.567", "0,5": "0.5", "1e-3": "0.001",
		"-1": "out of range", "2251799813685249": "out of range", "9007199254740993": "out of range", "99999999999999999999": "out of range", "1,000,000,000,000,000,000,000": "out of range",
		"": "not a number", " ": "not a number", "many": "not a number", "12 34": "not a number", "1,23": "1.23 and not whole", "1,2,3": "not a number", "1..0": "not a number", ".5": "not a number", "5.": "not a number", "1_0": "not a number",
		"1,234 567": "not a number", "1 2.3 4": "not a number", "0x1p10": "1024 (hexadecimal, with an exponent)", "0x": "not a number", "0xZZ": "not a number", "1e999999999": "not a number", "e3": "not a number",
		"Infinity": "not a number", "inf": "not a number", "NaN": "not a number", ".inf": "not a number", "true": "not a number", "yes": "not a number", "null": "not a number",
		"\uff11\uff12": "not a number", "\u0661\u0662": "not a number", "12k": "not a number", "12%": "not a number", "(3)": "not a number", "\u22123": "not a number", "--1": "not a number", "+-1": "not a number", "1:99": "not a number",
		"=\"42\"": "not a number", "4\x002": "not a number", "1\n2": "not a number", "\xff1": "not a number",
		strings.Repeat("1", 64): "too long", "5" + strings.Repeat(" ", 63): "too long",
	} {
		got, err := numeral.Parse(text)
		if err == nil {
			t.Errorf("Parse(%q) = %d", text, got)
		} else if !strings.Contains(err.Error(), shown) {
			t.Errorf("Parse(%q): %v, want %q in it", text, err, shown)
		}
	}
}

// A JSON number may have an exponent.
func TestParseJSON_Exponents(t *testing.T) {
	for text, want := range map[string]int64{"1e3": 1000, "1E+3": 1000, "1.5e3": 1500, "12": 12, "2.0": 2, "12000e-3": 12, "0e0": 0, "2.251799813685248e15": tally.MaxValue} {
		if got, err := numeral.ParseJSON(text); err != nil || got != want {
			t.Errorf("ParseJSON(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"2.000", "1.5", "-1", "1e-3", "1.0000000000000000000001e3", "1e16", "1e999999999", "1e-999999999", "-1e3", "1e", "0x1e3", "0x1E3", "--1e3", "1,5e3", strings.Repeat("9", 500) + "e3"} {
		if got, err := numeral.ParseJSON(text); err == nil {
			t.Errorf("ParseJSON(%q) = %d", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"12", "2.000", "1,234.00", "0042", "1e3", "1:30", "0x1F", "1 000"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (int64, error){numeral.Parse, numeral.ParseJSON} {
			n, err := parse(text)
			if err == nil && (n < 0 || n > tally.MaxValue) {
				t.Errorf("%q is %d", text, n)
			}
			// Digits without a leading zero are always that number.
			if plain, err2 := strconv.ParseInt(text, 10, 64); err2 == nil && plain > 0 && plain <= tally.MaxValue && strconv.FormatInt(plain, 10) == text && (err != nil || n != plain) {
				t.Errorf("%q is %d, %v", text, n, err)
			}
		}
	})
}
