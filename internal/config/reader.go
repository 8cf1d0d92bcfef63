package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Problem is one error in the configuration.
type Problem struct {
	Setting string // without --; empty if the source alone is wrong
	Source  Source // empty if the message names it
	Message string
}

func (p Problem) String() string {
	if p.Setting == "" {
		return fmt.Sprintf("%s: %s", p.Source, p.Message)
	}
	if p.Source == "" {
		return "--" + p.Setting + ": " + p.Message
	}
	return fmt.Sprintf("--%s (%s): %s", p.Setting, p.Source, p.Message)
}

// Problems are all errors in a configuration.
type Problems []Problem

// Err returns the problems as one error, a line for each; nil if there are none.
func (p Problems) Err() error {
	all := make([]error, len(p))
	for i, each := range p {
		all[i] = errors.New(each.String())
	}
	return errors.Join(all...)
}

// Reader parses values and collects their problems. It is not safe for concurrent use.
type Reader struct {
	Values   Values
	Problems Problems
}

// Reject adds err as a problem of the named setting, one for each line of its text.
func (r *Reader) Reject(name string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") { // errors.Join separates by lines
		r.Problems = append(r.Problems, Problem{name, r.Values[name].Source, line})
	}
}

// Read parses the value of a setting that is not repeatable. It returns the zero value
// if the setting is not given or wrong.
func Read[T any](r *Reader, name string, parse func(string) (T, error)) (zero T) {
	v := r.Values[name]
	if len(v.Texts) == 0 {
		return zero
	}
	parsed, err := parse(v.Texts[0]) // no layer has more than one
	if err != nil {
		r.Reject(name, err)
		return zero
	}
	return parsed
}

// ReadList parses the items of a repeatable setting, which may also be separated by
// commas.
func ReadList[T any](r *Reader, name string, parse func([]string) (T, error)) T {
	parsed, err := parse(r.Texts(name))
	if err != nil {
		r.Reject(name, err)
	}
	return parsed
}

// Text returns the value of a setting that is not repeatable; empty if it is not given.
func (r *Reader) Text(name string) string {
	return Read(r, name, func(text string) (string, error) { return text, nil })
}

// Texts returns the items of a repeatable setting.
func (r *Reader) Texts(name string) (items []string) {
	for _, text := range r.Values[name].Texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

// GivenOnce reports whether at most one of two alternatives is given, and otherwise
// rejects the second. what names the thing that both give.
func (r *Reader) GivenOnce(what, name, alternative string) bool {
	first, second := r.Values[name], r.Values[alternative]
	if first.IsGiven() && second.IsGiven() {
		r.Reject(alternative, fmt.Errorf("%s is given by --%s (%s) too; it should be given once", what, name, first.Source))
		return false
	}
	return true
}

// ReadToken reads a token from the named setting, or from the file that name-file names.
func (r *Reader) ReadToken(name string) string { return readOrFile(r, "the token", name, ParseToken) }

// readOrFile parses what the named setting holds, or the file that name-file names,
// without the file's last line end.
func readOrFile[T any](r *Reader, what, name string, parse func(string) (T, error)) (zero T) {
	file := name + "-file"
	switch {
	case !r.GivenOnce(what, name, file):
		return zero
	case !r.Values[file].IsGiven():
		return Read(r, name, parse)
	}
	return Read(r, file, func(path string) (T, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return zero, fmt.Errorf("%s cannot be read: %w", path, FileErrorReason(err))
		}
		parsed, err := parse(strings.TrimRight(string(text), "\r\n"))
		if err != nil {
			return zero, fmt.Errorf("%s in %s %w", what, path, err)
		}
		return parsed, nil
	})
}
