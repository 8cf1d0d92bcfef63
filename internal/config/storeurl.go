package config

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
)

// StoreURL is the location of a store: exactly one field is set, in the zero value none.
type StoreURL struct {
	SQLitePath string
	RedisURL   string
}

// redisForms are the schemes of Redis URLs, each with the form of the rest.
var redisForms = map[string]string{
	"redis":           "user:password@host:port/database",
	"rediss":          "user:password@host:port/database",
	"redis+sentinel":  "user:password@host:port,host:port/primary/database",
	"rediss+sentinel": "user:password@host:port,host:port/primary/database",
	"redis+cluster":   "user:password@host:port,host:port",
	"rediss+cluster":  "user:password@host:port,host:port",
}

// ParseStore parses the URL of a store. No error repeats a password.
func ParseStore(text string) (StoreURL, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case ok && scheme == "sqlite":
		path := strings.TrimPrefix(rest, "//") // sqlite:///var/lib/x.db is common too
		if path == "" || strings.ContainsAny(path, "?#\x00") {
			return StoreURL{}, errors.New("should name a file, such as sqlite:data/tallycast.db")
		}
		return StoreURL{SQLitePath: path}, nil
	case ok && redisForms[scheme] != "":
		authority, slashes := strings.CutPrefix(rest, "//")
		if !slashes || authority == "" || authority[0] == '/' || authority[0] == '?' {
			return StoreURL{}, fmt.Errorf("should be %s://%s", scheme, redisForms[scheme])
		}
		if err := checkRedis(text, ""); err != nil {
			return StoreURL{}, err
		}
		return StoreURL{RedisURL: text}, nil
	}
	hint := ""
	if !ok && text != "" {
		hint = fmt.Sprintf("; the file %s is sqlite:%s", text, text)
	}
	return StoreURL{}, errors.New("should begin with sqlite:, redis://, rediss://, redis+sentinel:// or redis+cluster://" + hint)
}

// credentials matches what precedes the host of a URL, and passwordParameters its parameters
// whose names mean a password, or are escaped.
var (
	credentials        = regexp.MustCompile(`(?s)^(.*?://)(?:([^:@/]*):)?.*@`)
	passwordParameters = regexp.MustCompile(`(?i)([?&][^=&]*(?:pass|secret|token|%)[^=&]*=)[^&]*`)
)

// redactStore returns a store's URL without its credentials.
func redactStore(text string) string {
	return credentials.ReplaceAllString(passwordParameters.ReplaceAllString(text, "$1***"), "$1$2:***@")
}

// parseReplica parses the URL of a replica.
func parseReplica(text string) (StoreURL, error) {
	if text == "" {
		return StoreURL{}, nil
	}
	if scheme, _, _ := strings.Cut(text, ":"); scheme != "redis" && scheme != "rediss" {
		return StoreURL{}, errors.New("should be one server close to this instance: redis://user:password@host:port/database or rediss://…; Sentinels do not tell which replica is close, and a Cluster has no replica of all data")
	}
	return ParseStore(text)
}

// checkRedis returns the error that the Redis store at url would return at once, without a
// connection. replica is empty or the URL of its replica.
func checkRedis(url, replica string) error {
	s, err := redisstore.Open(url, tally.NewCatalog(nil, nil), redisstore.Options{ReplicaURL: replica, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return s.Close()
}

// Name returns the store's URL for messages, without credentials.
func (s StoreURL) Name() string {
	if s.SQLitePath != "" {
		return "sqlite:" + s.SQLitePath
	}
	return redactStore(s.RedisURL)
}

// Show returns a value of the setting for people, without credentials.
func (s Setting) Show(v Value) string {
	text := strings.Join(v.Texts, ",")
	switch {
	case text == "":
		return "(none)"
	case s.Secret:
		return fmt.Sprintf("(set, %d bytes)", len(text))
	case s.Name == "store" || s.Name == "store-replica":
		return redactStore(text)
	}
	return text
}
