package seed

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// maxPattern bounds a pattern of addresses, and the value of each token, in bytes. Keys have at
// most 256; without a bound a pattern could repeat a title for gigabytes.
const maxPattern = 2048

var errLongPattern = fmt.Errorf("the pattern of its address has more than %d bytes", maxPattern)

// cut returns the first maxPattern bytes of a token's value. A key of that length is refused anyway.
func cut(value string) string { return value[:min(len(value), maxPattern)] }

// expandPattern replaces the tokens of a pattern of addresses, such as :title, by their values.
func expandPattern(pattern string, tokens *regexp.Regexp, valueOf func(token string) (string, error)) (string, error) {
	if len(pattern) > maxPattern {
		return "", errLongPattern
	}
	var invalid error
	text := tokens.ReplaceAllStringFunc(pattern, func(token string) string {
		value, err := valueOf(token[1:])
		if err != nil {
			invalid = fmt.Errorf("the pattern %q: %w", pattern, err)
		}
		return cut(value)
	})
	return text, invalid
}

// cleanPath returns a path of the settings without dots and outer slashes.
func cleanPath(text string) string { return strings.Trim(path.Clean("/"+filepath.ToSlash(text)), "/") }

// parent is [path.Dir] of a relative path; empty for the top.
func parent(dir string) string {
	if dir = path.Dir(dir); dir == "." {
		return ""
	}
	return dir
}

// joinPath joins the parts of a path without their outer slashes.
func joinPath(parts ...string) string {
	all := ""
	for _, part := range parts {
		if part = strings.Trim(part, "/"); part != "" {
			all += "/" + part
		}
	}
	return all
}

// escapeValue escapes the characters that end a path or begin an escape.
func escapeValue(text string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(text)
}
