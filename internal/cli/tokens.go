package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
)

const tokensDetails = `
A token gives its holder access to the dashboard and to the calls below /admin/v1/, for some
sites only. A viewer can read, without export and without addresses of visitors. An
editor can also edit, import, export, revert and block. These commands need the
--admin-token of the service; other commands accept such a token instead.
`

const tokensExamples = `
Examples:
  tallycast tokens create --site blog --role editor --name editorial
      Shows the token. It is not stored and cannot be shown again.
  tallycast tokens create --site blog --site docs --role viewer --name anna@example.com
  tallycast tokens revoke editorial
`

// tokensCommands are the commands below tokens.
var tokensCommands = []command{
	{name: "create", about: "Create a token, and show it once.",
		new: ownerAction("tokens create", (*ownerCommand).createToken, "sites", "role", "name")},
	{name: "list", about: "List the tokens.",
		new: ownerAction("tokens list", (*ownerCommand).listTokens)},
	{name: "revoke", about: "Revoke a token; its sessions end, too.", takes: "NAME", needs: "one token by its name, such as editorial",
		new: ownerAction("tokens revoke", (*ownerCommand).revokeToken)},
}

// tokenFlags are the flags that describe a token.
func (c *ownerCommand) tokenFlags() []config.Setting {
	return []config.Setting{
		{Name: "site", Value: "NAME", Repeatable: true, Parse: config.IntoTexts(&c.sites), Help: "A site of the token. Repeatable."},
		{Name: "role", Value: "WORD", Parse: config.Into(&c.role, config.ParseChoice("viewer", "editor")), Help: "viewer (reads) or editor (also changes)."},
		{Name: "name", Value: "TEXT", Parse: config.IntoText(&c.tokenName), Help: "Name of the token, for the list and the audit log."},
	}
}

func (c *ownerCommand) createToken() error {
	switch {
	case len(c.sites) == 0:
		return usagef("name a site with --site")
	case c.role == "":
		return usagef("--role is missing: viewer or editor")
	case c.tokenName == "":
		return usagef("--name is missing: give the token a name, such as --name editorial")
	}
	body := map[string]any{"name": c.tokenName, "role": c.role, "sites": c.sites}
	var created struct {
		Token string
		Sites []string
	}
	raw, err := c.call(http.MethodPost, "/admin/v1/tokens", body, &created)
	if err != nil {
		return err
	}
	c.print(raw, "%s", created.Token)
	if c.asTable {
		fmt.Fprintf(c.stderr, "This is the token of %s, %s of %s. It is not stored and cannot be shown again.\n", c.tokenName, c.role, printable(strings.Join(created.Sites, ", ")))
	}
	return nil
}

func (c *ownerCommand) listTokens() error {
	return printList(c, []string{"NAME", "ROLE", "SITES", "CREATED"}, "There are no tokens.", c.listed("/admin/v1/tokens", "tokens", "", url.Values{}, 0), func(t *table, token struct {
		owner.Token
		Role string // may be that of a later release
	}) {
		created := token.Created
		if at, err := time.Parse(time.RFC3339, created); err == nil {
			created = shortTime(at)
		}
		t.add(token.Name, token.Role, strings.Join(token.Sites, ", "), created)
	})
}

func (c *ownerCommand) revokeToken() error {
	if _, err := c.call(http.MethodDelete, "/admin/v1/tokens/"+url.PathEscape(c.args[0]), nil, nil); err != nil {
		return err
	}
	c.print(nil, "the token %s is revoked", c.args[0])
	return nil
}
