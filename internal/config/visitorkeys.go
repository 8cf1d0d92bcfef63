package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/visitortoken"
)

// parseVisitorKeys parses shared secrets, which are taken as they are written. Only in an
// environment variable commas separate them.
func (c *Config) parseVisitorKeys(r *Reader, setting string) {
	value := r.Values[setting]
	for _, text := range value.Texts {
		items := []string{text}
		if value.layer == layerEnvironment {
			items = strings.Split(text, ",")
		}
		c.addVisitorKeys(r, setting, items, func(text string) (visitortoken.Source, error) {
			key, err := visitortoken.SecretKey(text)
			return visitortoken.Source{Keys: []visitortoken.Key{key}}, err
		})
	}
}

// parseVisitorKeyFiles parses the paths of files with keys, and reads them.
func (c *Config) parseVisitorKeyFiles(r *Reader, setting string) {
	c.addVisitorKeys(r, setting, r.texts(setting), func(path string) (visitortoken.Source, error) {
		content, err := readFile(path)
		if err != nil {
			return visitortoken.Source{}, err
		}
		keys, err := visitortoken.ParseFile(content)
		if err != nil {
			err = fmt.Errorf("%s %w", path, err)
		}
		return visitortoken.Source{Keys: keys}, err
	})
}

// parseVisitorKeySets parses the addresses of key sets.
func (c *Config) parseVisitorKeySets(r *Reader, setting string) {
	c.addVisitorKeys(r, setting, r.texts(setting), func(text string) (visitortoken.Source, error) {
		at, err := visitortoken.ParseKeySetURL(text)
		return visitortoken.Source{KeySetURL: at}, err
	})
}

// addVisitorKeys parses items, whose prefix may be a declared site and an equals sign.
func (c *Config) addVisitorKeys(r *Reader, setting string, items []string, parse func(string) (visitortoken.Source, error)) {
	for _, item := range items {
		site, text, ok := strings.Cut(item, "=")
		if _, isDeclared := c.Sites[site]; !ok || !isDeclared {
			site, text = "", item
		}
		source, err := parse(text)
		if err != nil {
			r.Reject(setting, err)
			continue
		}
		source.Site = site
		c.VisitorKeys = append(c.VisitorKeys, source)
	}
}

// checkSigned checks that each site that takes only signed visitors has a key for them. Keys
// that could not be parsed are reported already.
func (c *Config) checkSigned(r *Reader) {
	for _, site := range slices.Sorted(maps.Keys(c.SignedSites)) {
		hasKey := slices.ContainsFunc(c.VisitorKeys, func(s visitortoken.Source) bool { return s.Site == "" || s.Site == site })
		if !hasKey && len(r.Problems) == 0 {
			r.Reject("site", errors.New(site+"=visitors=signed needs a key that verifies the visitors: --visitor-key, --visitor-key-file or --visitor-jwks"))
		}
	}
}
