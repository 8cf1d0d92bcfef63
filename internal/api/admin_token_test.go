package api

import (
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// The calls about tokens answer as the document says, and a token of a site works for the
// owner's calls alone.
func TestAdminTokens(t *testing.T) {
	o := newOwnerRig(t, nil)
	created := o.own("POST", "tokens", `{"name":"anna@example.com","role":"editor","sites":["blog"]}`).hasStatus(200).contains(`"sites":["blog"]`)
	token, _ := created.field("token").(string)
	o.own("GET", "tokens", "").hasStatus(200).contains(`"name":"anna@example.com"`)
	o.own("POST", "tokens", `{"name":"x","role":"owner","sites":["blog"]}`).hasError(400, tally.CodeBadBody).contains("owner")
	o.own("POST", "tokens", `{"name":"x","role":"admin","sites":["blog"]}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "tokens", `{"name":"x y","role":"viewer","sites":["blog"]}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "tokens", `{"name":"x","role":"viewer","sites":["none"]}`).hasError(404, tally.CodeUnknownSite)
	as := func(method, path, body string) answer {
		t.Helper()
		return o.do(method, "/admin/v1/"+path, body, "Authorization", "Bearer "+token)
	}
	as("GET", "topics", "").hasStatus(200)
	as("GET", "overview", "").hasStatus(200).contains(`"instances":[]`)
	as("POST", "blocks", `{"visitor":"visitor-0007","site":"blog"}`).hasStatus(204)
	as("GET", "blocks", "").hasStatus(200).contains(`"site":"blog"`)
	as("GET", "audit", "").hasStatus(200).contains(`"actor":"token anna@example.com"`)
	as("GET", "tokens", "").hasError(403, tally.CodeRoleNotAllowed)
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0007"}`).hasError(403, tally.CodeBlocked)
	o.do("POST", "/v1/wiki/likes/a", `{"visitor":"visitor-0007"}`).hasStatus(200)
	// The public API has its own token.
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0001"}`, "Authorization", "Bearer "+token).hasError(403, tally.CodeOriginNotAllowed)
	o.own("DELETE", "tokens/anna@example.com", "").hasStatus(204)
	o.own("DELETE", "tokens/anna@example.com", "").hasError(404, tally.CodeNotFound)
	as("GET", "topics", "").hasError(401, tally.CodeNotAuthorized)
}
