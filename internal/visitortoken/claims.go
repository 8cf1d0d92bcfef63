package visitortoken

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// maxSubject bounds sub, in bytes. OpenID Connect allows 255.
const maxSubject = 255

// maxTime bounds exp and nbf, in seconds: the year 9999. A larger number is a mistake, such
// as milliseconds.
const maxTime = 253402300799

// claims are the claims of a token for site: sub, exp and nbf. aud is checked when it is parsed.
type claims struct {
	jwt.RegisteredClaims
	site string
}

// UnmarshalJSON parses claims. Names are compared exactly and must be unique, and values
// must have the types of RFC 7519: two programs that read a token must see the same visitor.
func (c *claims) UnmarshalJSON(data []byte) error {
	if !utf8.Valid(data) {
		return refuse("the claims of the visitor token are not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return refuse("the claims of the visitor token must be a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder accepts no other
		if seen[name] {
			return refuse("the visitor token has a claim twice: %.40q", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := c.set(name, value); err != nil {
			return err
		}
	}
	if !seen["sub"] {
		return refuse("the visitor token names no visitor: it must have sub")
	}
	return nil
}

func (c *claims) set(name string, value json.RawMessage) (err error) {
	switch name {
	case "sub":
		if value[0] != '"' || json.Unmarshal(value, &c.Subject) != nil || c.Subject == "" || len(c.Subject) > maxSubject || strings.ContainsRune(c.Subject, utf8.RuneError) {
			return refuse("sub of the visitor token must be a string of 1 to %d bytes", maxSubject)
		}
	case "exp":
		c.ExpiresAt, err = parseTime(name, value)
	case "nbf":
		c.NotBefore, err = parseTime(name, value)
	case "aud":
		err = c.checkAudience(value)
	}
	return err
}

func parseTime(name string, value json.RawMessage) (*jwt.NumericDate, error) {
	var seconds *float64
	if json.Unmarshal(value, &seconds) != nil || seconds == nil || *seconds < 0 || *seconds > maxTime {
		return nil, refuse("%s of the visitor token must be a time in seconds since 1970", name)
	}
	return jwt.NewNumericDate(time.Unix(int64(*seconds), 0)), nil
}

// checkAudience checks a string or a list of strings.
func (c *claims) checkAudience(value json.RawMessage) error {
	var audience []string
	var one string
	if value[0] == '"' && json.Unmarshal(value, &one) == nil {
		audience = []string{one}
	} else if value[0] != '[' || json.Unmarshal(value, &audience) != nil {
		return refuse("aud of the visitor token must be a string or a list of strings")
	}
	if !slices.Contains(audience, c.site) && !slices.Contains(audience, commonAudience) {
		return refuse("the visitor token is not for this site: aud must be %q or %q, or be left out", c.site, commonAudience)
	}
	return nil
}
