package config

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is one error in the configuration.
type Problem struct {
	Setting string // without --; empty if the problem is not about the value of a setting
	Source  Source // empty if the message names the source
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

// Reject adds a problem of the named setting for each line of err.
func (r *Reader) Reject(name string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") { // errors.Join puts each error on a line
		r.Problems = append(r.Problems, Problem{name, r.Values[name].Source, line})
	}
}

// Read parses the value of a setting that is not repeatable. It returns the zero value if the setting
// has no value or an invalid one.
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

// texts returns the items of a repeatable setting, which may be separated by commas.
func (r *Reader) texts(name string) (items []string) {
	for _, text := range r.Values[name].Texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

// GivenOnce reports whether at most one of two alternatives is given. Otherwise it rejects the second.
// what names the value that both give.
func (r *Reader) GivenOnce(what, name, alternative string) bool {
	first, second := r.Values[name], r.Values[alternative]
	if first.IsGiven() && second.IsGiven() {
		r.Reject(alternative, fmt.Errorf("%s is given by --%s (%s) too; it should be given once", what, name, first.Source))
		return false
	}
	return true
}

// Parse parses the values of settings with the functions that they declare.
func (r *Reader) Parse(settings []Setting) {
	for _, s := range settings {
		if s.Parse != nil {
			s.Parse(r, s.Name)
		}
	}
}

// Into returns a [Setting].Parse that stores the value in target, as [Read] parses it.
func Into[T any](target *T, parse func(string) (T, error)) func(*Reader, string) {
	return func(r *Reader, name string) { *target = Read(r, name, parse) }
}

// IntoText is [Into] for a value that is stored as it is given.
func IntoText(target *string) func(*Reader, string) {
	return Into(target, func(text string) (string, error) { return text, nil })
}

// IntoList is [Into] for the items of a repeatable setting, which are parsed together.
func IntoList[T any](target *T, parse func([]string) (T, error)) func(*Reader, string) {
	return func(r *Reader, name string) {
		parsed, err := parse(r.texts(name))
		if err != nil {
			r.Reject(name, err)
		}
		*target = parsed
	}
}

// IntoEach is [IntoList] for items that are parsed one by one.
func IntoEach[T any](target *[]T, parse func(string) (T, error)) func(*Reader, string) {
	return IntoList(target, func(items []string) (all []T, err error) {
		for _, item := range items {
			parsed, invalid := parse(item)
			if invalid == nil {
				all = append(all, parsed)
			}
			err = errors.Join(err, invalid)
		}
		return all, err
	})
}

// IntoTexts is [IntoEach] for items that are stored as they are given.
func IntoTexts(target *[]string) func(*Reader, string) {
	return IntoEach(target, func(item string) (string, error) { return item, nil })
}

// IntoToken is [Into] for a token, or for the file that the setting name-file names.
func IntoToken(target *string) func(*Reader, string) {
	return intoOrFile(target, "the token", ParseToken)
}

// intoOrFile is [Into] for a value, or for the content of the file that the setting name-file
// names, without its last line end. what names the value in errors.
func intoOrFile[T any](target *T, what string, parse func(string) (T, error)) func(*Reader, string) {
	return func(r *Reader, name string) {
		file := name + "-file"
		switch {
		case !r.GivenOnce(what, name, file):
		case !r.Values[file].IsGiven():
			*target = Read(r, name, parse)
		default:
			*target = Read(r, file, func(path string) (parsed T, err error) {
				text, err := readFile(path)
				if err != nil {
					return parsed, err
				}
				if parsed, err = parse(strings.TrimRight(string(text), "\r\n")); err != nil {
					err = fmt.Errorf("%s in %s %w", what, path, err)
				}
				return parsed, err
			})
		}
	}
}
