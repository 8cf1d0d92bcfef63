package tally

import "strconv"

// MaxTopics is the maximum number of topics that a call or a message names, and that a
// connection watches.
const MaxTopics = 1000

// CheckTopicCount checks the number of topics that a call or a message names.
// Errors: [CodeTooManyTopics].
func CheckTopicCount(n int) error {
	if n > MaxTopics {
		return Errorf(CodeTooManyTopics, "at most %d topics at once; these are %d", MaxTopics, n)
	}
	return nil
}

// ParseLimit parses the value of a parameter that bounds a list, from 1 to max. Errors:
// [CodeBadBody].
func ParseLimit(parameter, text string, max int) (int, error) {
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > max {
		return 0, Errorf(CodeBadBody, "the parameter %s is %.40q; it must be a whole number from 1 to %d", parameter, text, max)
	}
	return limit, nil
}
