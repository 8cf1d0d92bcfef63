package owner

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tallycast/tallycast/internal/tally"
)

// Role is what an owner may do. The zero Role may do nothing.
type Role uint8

const (
	Viewer Role = 1 + iota // reads, without export and without addresses of clients
	Editor                 // also edits, imports, exports, reverts and blocks
	Admin                  // the admin token: everything, in all sites
)

// roleNames are the names of roles in calls, in stored tokens and for people.
var roleNames = map[Role]string{Viewer: "viewer", Editor: "editor", Admin: "admin"}

// May reports whether the role includes another.
func (r Role) May(other Role) bool { return r >= other && other > 0 }

func (r Role) String() string { return roleNames[r] }

// MarshalText implements [encoding.TextMarshaler].
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses the name of a role that a token can have.
func (r *Role) UnmarshalText(text []byte) error {
	for _, role := range []Role{Viewer, Editor} {
		if string(text) == roleNames[role] {
			*r = role
			return nil
		}
	}
	return fmt.Errorf("%.40q is not a role; a token is of a viewer or an editor", text)
}

// Access is the role and the sites of one caller. [Service.Within] applies it to use cases.
type Access struct {
	Role  Role
	Token string   // name of the token; empty for the admin token
	Sites []string // of the token

	// ID distinguishes the token from earlier and later ones of its name. It is zero for the
	// admin token, and gives no access.
	ID TokenID
	// Revoked ends when the token is revoked; nil for the admin token.
	Revoked context.Context
}

// TokenID is the first half of the hash of a token.
type TokenID [16]byte

// Actor returns how the audit log names the caller at an address.
func (a Access) Actor(address string) string {
	if a.Token == "" {
		return "admin " + address
	}
	return "token " + a.Token + " " + address
}

// Token describes a token for a site's owners. The token itself is not stored.
type Token struct {
	Name    string   `json:"name"`
	Role    Role     `json:"role"`
	Sites   []string `json:"sites"`
	Created string   `json:"created"` // RFC 3339
}

// storedToken is the value of a token's setting, as JSON.
type storedToken struct {
	Role    Role     `json:"role"`
	Sites   []string `json:"sites"`
	Created string   `json:"created"`
	Hash    []byte   `json:"hash"` // SHA-256 of the token, which is random and long
}

// parseToken parses the value of a token's setting.
func parseToken(value string) (t storedToken, err error) {
	if err = json.Unmarshal([]byte(value), &t); err == nil && (len(t.Hash) != tokenHash || t.Role == 0) {
		err = fmt.Errorf("a token needs a role and a hash of %d bytes", tokenHash)
	}
	return t, err
}

func (t storedToken) id() (id TokenID) {
	copy(id[:], t.Hash)
	return id
}

// errNotAToken is the error about a token that does not exist.
var errNotAToken = tally.Errorf(tally.CodeNotAuthorized, "the token does not exist or was revoked")
