package seed

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// postDate matches the date at the beginning of the name of a Jekyll post.
var postDate = regexp.MustCompile(`^\d{4}-\d{1,2}-\d{1,2}-`)

// keyOfPath returns the key of the page that is made from a file. name is the path of the file below the
// folder.
func keyOfPath(name string) string {
	name = strings.TrimSuffix(name, path.Ext(name))
	if dir, last := path.Split(name); last == "index" || last == "_index" {
		name = strings.TrimSuffix(dir, "/")
	}
	if name == "" {
		return pagekey.Home
	}
	return name
}

// keyOfAddress returns the key of the page at a path or URL; see [pagekey.Of].
func keyOfAddress(address string) (string, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Opaque != "" {
		return "", fmt.Errorf("%q is not the address of a page", address)
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if strings.HasPrefix(segment, ":") {
			return "", fmt.Errorf("%q is a pattern and should be the address of this page", address)
		}
	}
	return pagekey.Of(address)
}

// derivesKeys reports whether the rules of a site generator determine the keys.
func (r Rules) derivesKeys() bool {
	word, _, _ := strings.Cut(r.KeyFrom, "@")
	_, ok := generatorKinds[word]
	return ok
}

// isHugo reports whether the files are in a project of Hugo.
func (r Rules) isHugo() bool {
	return r.project != nil && r.project.name == generatorKinds[FromHugo].name
}

// key returns the key of a record and its line.
func (r Rules) key(rec record) (key string, line int, err error) {
	field := func(names ...string) (string, int, error) {
		for _, name := range names {
			value, line, _ := rec.field(name)
			_, isBool := value.(bool) // such as permalink: false of Eleventy
			if text := textOf(value); text != "" && !isBool {
				return text, line, nil
			}
		}
		return "", rec.line, fmt.Errorf("should have a field %s, which names the page", strings.Join(names, " or "))
	}
	isPage := rec.path != ""
	switch from := r.KeyFrom; {
	case rec.key != "":
		key, line = rec.key, rec.line
	case r.derivesKeys() && isPage:
		key, err = r.project.keyOf(rec.path, rec.field)
		return key, rec.line, err
	case from == FromSlug:
		if key, line, err = field("slug"); err != nil && isPage {
			return postDate.ReplaceAllString(path.Base(keyOfPath(rec.path)), ""), rec.line, nil
		}
		return strings.Trim(key, "/"), line, err
	case from == FromPermalink:
		if key, line, err = field("permalink", "url"); err == nil {
			key, err = keyOfAddress(key)
			return key, line, err
		}
	case from == FromPath || from == "" || r.derivesKeys():
		if !isPage {
			key, line, err = field("key", "slug", "page", "path", "url")
		}
	default:
		key, line, err = field(from)
		isPage = false
	}
	switch {
	case isPage:
		return keyOfPath(rec.path), rec.line, nil
	case err == nil && (strings.HasPrefix(key, "/") || strings.Contains(key, "://")):
		key, err = keyOfAddress(key)
	}
	return key, line, err
}
