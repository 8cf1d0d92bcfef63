package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// storeURL says where counts are kept: exactly one field is set.
type storeURL struct {
	sqlitePath string
	redisURL   string
}

// redisForms are the schemes of a Redis, each with what follows it.
var redisForms = map[string]string{
	"redis":           "user:password@host:port/database",
	"rediss":          "user:password@host:port/database",
	"redis+sentinel":  "user:password@host:port,host:port/primary/database",
	"rediss+sentinel": "user:password@host:port,host:port/primary/database",
	"redis+cluster":   "user:password@host:port,host:port",
	"rediss+cluster":  "user:password@host:port,host:port",
}

// parseStore reads the store's URL by its scheme. No error repeats a password.
func parseStore(text string) (storeURL, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case ok && scheme == "sqlite":
		path := strings.TrimPrefix(rest, "//") // sqlite:///var/lib/x.db is common too
		if path == "" || strings.ContainsAny(path, "?#\x00") {
			return storeURL{}, errors.New("should name a file, such as sqlite:data/tallycast.db")
		}
		return storeURL{sqlitePath: path}, nil
	case ok && redisForms[scheme] != "":
		authority, slashes := strings.CutPrefix(rest, "//")
		if !slashes || authority == "" || authority[0] == '/' || authority[0] == '?' {
			return storeURL{}, fmt.Errorf("should be %s://%s", scheme, redisForms[scheme])
		}
		if err := checkRedis(text); err != nil {
			return storeURL{}, err
		}
		return storeURL{redisURL: text}, nil
	}
	hint := ""
	if !ok && text != "" {
		hint = fmt.Sprintf("; the file %s is sqlite:%s", text, text)
	}
	return storeURL{}, errors.New("should begin with sqlite:, redis://, rediss://, redis+sentinel:// or redis+cluster://" + hint)
}

// redactStore returns a store's URL without its credentials.
func redactStore(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	if address, query, ok := strings.Cut(rest, "?"); ok {
		settings := strings.Split(query, "&")
		for i, setting := range settings {
			name, _, _ := strings.Cut(setting, "=")
			if plain, err := url.QueryUnescape(name); err != nil || plain == "sentinel_password" {
				settings[i] = name + "=***"
			}
		}
		rest = address + "?" + strings.Join(settings, "&")
	}
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return scheme + "://" + rest
	}
	user, _, hasPassword := strings.Cut(authority, ":")
	if !hasPassword || strings.Contains(user, "@") {
		user = ""
	}
	return scheme + "://" + user + ":***@" + rest[at+1:]
}

// minSecret is the least length of secrets, in bytes: 128 bits if they are random.
const minSecret = 16

// checkSecret tells whether text is long enough to keep what it protects.
func checkSecret(text string) ([]byte, error) {
	if len(text) < minSecret {
		return nil, fmt.Errorf("has %d bytes; it should have %d or more, such as `openssl rand -hex 32` makes", len(text), minSecret)
	}
	return []byte(text), nil
}

// parseToken reads a secret that travels in a header.
func parseToken(text string) (string, error) {
	for _, c := range text {
		if c <= ' ' || c > '~' {
			return "", errors.New("should be printable ASCII without spaces: it is sent in a header")
		}
	}
	_, err := checkSecret(text)
	return text, err
}

// readSecretFile reads a secret from a file, without the line's end.
func readSecretFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", path, plainPathError(err))
	}
	secret, err := checkSecret(strings.TrimRight(string(text), "\r\n"))
	if err != nil {
		return nil, fmt.Errorf("the secret in %s %w", path, err)
	}
	return secret, nil
}
