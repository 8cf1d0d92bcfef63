package admin

import "github.com/tallycast/tallycast/internal/owner"

// listTokens answers GET /admin/v1/tokens.
func (q *request) listTokens() (any, error) {
	tokens, err := q.owner.Tokens(q.r.Context())
	return map[string]any{"tokens": tokens}, err
}

type tokenBody struct {
	Name  string     `json:"name"`
	Role  owner.Role `json:"role"`
	Sites []string   `json:"sites"`
}

// createToken answers POST /admin/v1/tokens. Only this response has the token.
func (q *request) createToken(body tokenBody) (any, error) {
	created, token, err := q.owner.CreateToken(q.detached(), q.actor(), owner.Token{Name: body.Name, Role: body.Role, Sites: body.Sites})
	return struct {
		Token string `json:"token"`
		description
	}{token, created}, err
}

// description is the name of the type when it is embedded beside a field Token.
type description = owner.Token

// revokeToken answers DELETE /admin/v1/tokens/{name}.
func (q *request) revokeToken() (any, error) {
	return nil, q.owner.RevokeToken(q.detached(), q.actor(), q.r.PathValue("name"))
}
