package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// parseRate parses 20/s, 600/m, 200/h or off, which is the zero limit.
func parseRate(text string) (ratelimit.Limit, error) {
	if text == "off" {
		return ratelimit.Limit{}, nil
	}
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}
	number, unit, _ := strings.Cut(text, "/")
	count, err := strconv.Atoi(number)
	if per := units[unit]; err == nil && per > 0 && count >= 1 && count <= maxLimit {
		return ratelimit.Limit{Count: count, Per: per}, nil
	}
	return ratelimit.Limit{}, fmt.Errorf("%q should be a rate such as 20/s, 600/m or 200/h, or off", text)
}

// maxLimit bounds numeric limits. A greater number has the same effect as off.
const maxLimit = 1_000_000_000

// ParseLimit parses a whole number from 1, or off, which is 0.
func ParseLimit(text string) (int, error) {
	if text == "off" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || n < 1 || n > maxLimit {
		return 0, fmt.Errorf("%q should be a whole number from 1 to %d, or off", text, maxLimit)
	}
	return n, nil
}

// ParseDuration returns a parser of durations from least to most.
func ParseDuration(least, most time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := tally.ParseDuration(text)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("%q should be a time from %s to %s, such as 50ms, 10s, 1m30s or 7d", text, tally.FormatDuration(least), tally.FormatDuration(most))
		}
		return d, nil
	}
}

// parseOptionalDuration is [ParseDuration], and accepts off, which is 0.
func parseOptionalDuration(least, most time.Duration) func(string) (time.Duration, error) {
	return func(text string) (d time.Duration, err error) {
		if text == "off" {
			return 0, nil
		}
		if d, err = ParseDuration(least, most)(text); err != nil {
			err = fmt.Errorf("%w, or off", err)
		}
		return d, err
	}
}

// parseHistory parses the retention of the history; off is 0.
func parseHistory(text string) (d time.Duration, err error) {
	if d, err = parseOptionalDuration(tally.Day.Duration(), tally.MaxHistory)(text); err == nil {
		err = tally.ValidateHistory(d)
	}
	return d, err
}

// ParseBool parses true and false in their common forms.
func ParseBool(text string) (bool, error) {
	switch text {
	case "true", "1", "yes", "on":
		return true, nil
	case "false", "0", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q should be true or false", text)
}

// ParseChoice returns a parser that accepts one of words.
func ParseChoice(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if slices.Contains(words, text) {
			return text, nil
		}
		last := len(words) - 1
		return "", fmt.Errorf("%q should be %s or %s", text, strings.Join(words[:last], ", "), words[last])
	}
}

// parseListen parses host:port; the host may be left out.
func parseListen(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("%q should be an address such as :8080, 127.0.0.1:8080 or [::1]:8080", text)
	}
	return text, nil
}

// parseOptionalListen is [parseListen], and accepts an empty text.
func parseOptionalListen(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return parseListen(text)
}

// LocalURL returns the URL at which this machine reaches a listener's address.
func LocalURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// parseBasePath parses a path and returns it with a leading and no trailing slash; empty
// is the root.
func parseBasePath(text string) (string, error) {
	path := strings.Trim(text, "/")
	if path == "" {
		return "", nil
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." || !consistsOf(segment, pathRunes) {
			return "", fmt.Errorf("%q should be a path such as /tally, of letters, digits and - . _ ~", text)
		}
	}
	return "/" + path, nil
}

// consistsOf reports whether text is not empty and contains only runes of allowed.
func consistsOf(text, allowed string) bool { return text != "" && strings.Trim(text, allowed) == "" }

// pathRunes need no escape in a path (RFC 3986, section 2.3).
const pathRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

// privateRanges are the ranges that "private" means: addresses that no client on the
// internet has (RFC 1918, RFC 4193, RFC 3927, loopback, link-local).
var privateRanges = []string{
	"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
	"::1/128", "fc00::/7", "fe80::/10",
}

// parseProxies parses address ranges, single addresses and the word private.
func parseProxies(texts []string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	var problems []error
	for _, text := range texts {
		if text == "private" {
			for _, each := range privateRanges {
				prefixes = append(prefixes, netip.MustParsePrefix(each))
			}
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(text); err == nil {
				prefix, err = address.Prefix(address.BitLen())
			}
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%q should be an address range such as 10.0.0.0/8, an address, or private", text))
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, errors.Join(problems...)
}

// parseRedisPrefix parses the prefix of keys in Redis. It refuses braces, which would change the hash
// tag.
func parseRedisPrefix(text string) (string, error) {
	const most = 64 // bytes; it is repeated in every key
	if len(text) > most || !consistsOf(text, pathRunes+":") {
		return "", fmt.Errorf("%q should be 1 to %d of letters, digits and : - . _ ~", text, most)
	}
	return text, nil
}

// minSecret is the minimum length of secrets, in bytes: 128 bits if they are random.
const minSecret = 16

func parseSecret(text string) ([]byte, error) {
	if len(text) < minSecret {
		return nil, fmt.Errorf("has %s; it should have %d or more, such as `openssl rand -hex 32` makes", tally.Quantity(len(text), "byte"), minSecret)
	}
	return []byte(text), nil
}

// ParseToken parses a secret that is sent in a header.
func ParseToken(text string) (string, error) {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", errors.New("should be printable ASCII without spaces: it is sent in a header")
		}
	}
	_, err := parseSecret(text)
	return text, err
}
