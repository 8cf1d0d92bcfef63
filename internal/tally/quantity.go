package tally

import "strconv"

// Quantity formats a number of things, such as "1 topic" and "2 topics", for nouns whose
// plural ends in s.
func Quantity(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}
