package sitemap

import (
	"net/url"

	"github.com/tallycast/tallycast/internal/pagekey"
)

// KeyOf returns the key of the page at address, the absolute URL of a page. It is false
// if address has no key.
func KeyOf(address string) (key string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	key, err = pagekey.Of(address)
	return key, err == nil
}
