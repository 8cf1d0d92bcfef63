package admin_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
)

// accessCase is one call on a site, or on no particular one.
type accessCase struct {
	path, body string
	ofAll      bool // names no site
	// refused is a text in the successful answer to a call on a foreign site: the call refuses
	// the items of that site one by one.
	refused string
}

// accessCases returns the cases of each call on a site.
func (s *sites) accessCases(site string) map[string][]accessCase {
	topic := site + "/likes/page-of-" + site
	hour := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	_, lines, _ := strings.Cut(s.header("admin", "GET", "export?site="+site, "").body, "\n")
	head, _, _ := strings.Cut(s.header("admin", "GET", "export", "").body, "\n")
	return map[string][]accessCase{
		"GET session":                            {}, // with a cookie only, see TestAccess_SessionAndHeader
		"POST session":                           {},
		"DELETE session":                         {},
		"GET topics":                             {{path: "topics", ofAll: true}, {path: "topics?order=count", ofAll: true}, {path: "topics?site=" + site}, {path: "topics?site=" + site + "&metric=likes&prefix=page"}},
		"PATCH topics":                           {{path: "topics", body: `{"topics":[{"topic":"` + site + `/likes/set","base":1}]}`, refused: "unknown_site"}},
		"GET topics/{site}/{metric}/{key...}":    {{path: "topics/" + topic}},
		"PATCH topics/{site}/{metric}/{key...}":  {{path: "topics/" + topic, body: `{"seed":1}`}, {path: "topics/" + site + "/likes/new", body: `{"count":1}`}},
		"DELETE topics/{site}/{metric}/{key...}": {{path: "topics/" + site + "/likes/new"}},
		"POST reset":                             {{path: "reset", body: `{"topics":["` + site + `/likes/none"]}`}, {path: "reset", body: `{"topics":["blog/likes/none","` + site + `/likes/none"]}`}},
		"POST rename":                            {{path: "rename", body: `{"from":"` + site + `/likes/renamed","to":"` + site + `/likes/renamed-too"}`}},
		"POST merge":                             {{path: "merge", body: `{"from":["` + site + `/likes/merged"],"to":"blog/likes/page-of-blog"}`}, {path: "merge", body: `{"from":["blog/likes/merged-too"],"to":"` + topic + `"}`}},
		"POST forget":                            {{path: "forget", body: `{"visitor":"nobody-here","site":"` + site + `"}`}, {path: "forget", body: `{"visitor":"nobody-here"}`, ofAll: true}},
		"GET blocks":                             {{path: "blocks", ofAll: true}},
		"POST blocks":                            {{path: "blocks", body: `{"visitor":"someone-1","site":"` + site + `"}`}, {path: "blocks", body: `{"visitor":"someone-2"}`, ofAll: true}},
		"DELETE blocks":                          {{path: "blocks", body: `{"visitor":"someone-1","site":"` + site + `"}`}, {path: "blocks", body: `{"visitor":"someone-2"}`, ofAll: true}},
		"GET spikes":                             {{path: "spikes", ofAll: true}, {path: "spikes?site=" + site}},
		"POST undo":                              {{path: "undo", body: `{"topics":["` + topic + `"],"from":"` + hour + `","preview":true}`}, {path: "undo", body: `{"site":"` + site + `","from":"` + hour + `","addresses":["233.252.0.1"]}`}, {path: "undo", body: `{"topics":["blog/likes/x","` + topic + `"],"from":"` + hour + `","preview":true}`}},
		"GET reverts":                            {{path: "reverts?since=2026-01-01T00:00:00Z&topic=" + topic}},
		"POST prune":                             {{path: "prune", body: `{"site":"` + site + `","untouched_since":"2026-01-01T00:00:00Z","preview":true}`}, {path: "prune", body: `{"site":"` + site + `","untouched_since":"2026-01-01T00:00:00Z"}`}},
		"POST seeds":                             {{path: "seeds", body: `{"seeds":[{"topic":"` + site + `/likes/seeded","seed":1}]}`, refused: "unknown_site"}, {path: "seeds", body: `{"seeds":[{"topic":"` + site + `/likes/seeded","seed":1}],"preview":true}`, refused: "unknown_site"}},
		"GET export":                             {{path: "export", ofAll: true}, {path: "export?format=csv", ofAll: true}, {path: "export?site=" + site}, {path: "export?site=" + site + "&format=json"}},
		"POST import":                            {{path: "import?mode=replace", body: head + "\n" + lines, refused: `{"topics":0,"contributions":0,"orders":0,"refused":5`}},
		"GET overview":                           {{path: "overview", ofAll: true}},
		"GET audit":                              {{path: "audit", ofAll: true}},
		"GET tokens":                             {{path: "tokens", ofAll: true}},
		"POST tokens":                            {{path: "tokens", body: `{"name":"more-` + site + `","role":"editor","sites":["` + site + `"]}`}},
		"DELETE tokens/{name}":                   {{path: "tokens/more-" + site}},
	}
}

// Every call, with every role, on its own site and on a foreign one. The server refuses a call
// above the role of the token, and answers a call about a foreign site as about a site that
// does not exist. No answer names the foreign site, tokens, the store, or addresses that the
// role hides.
func TestAccess_EveryCall(t *testing.T) {
	for _, how := range []string{"header", "session"} {
		t.Run(how, func(t *testing.T) { testEveryCall(t, how) })
	}
}

func testEveryCall(t *testing.T, how string) {
	s := newSites(t, nil)
	for _, topic := range []string{"renamed", "merged", "merged-too"} {
		for _, site := range []string{"blog", "docs"} {
			s.header("admin", "PATCH", "topics/"+site+"/likes/"+topic, `{"count":1}`)
		}
	}
	calls := s.server.Calls()
	cases := map[string]map[string][]accessCase{}
	for _, site := range []string{"blog", "docs", "none"} {
		cases[site] = s.accessCases(site)
	}
	for call := range calls {
		if cases["blog"][call] == nil {
			t.Errorf("the call %s has no case: add it to accessCases", call)
		}
	}
	foreign := s.header("admin", "GET", "export?site=docs", "").body
	_, foreign, _ = strings.Cut(foreign, "\n") // the header has the time
	for _, role := range []owner.Role{owner.Viewer, owner.Editor} {
		send := func(method, path, body string) answerOf { return s.header(role.String(), method, path, body) }
		if how == "session" {
			cookie, csrf := s.signIn(role.String())
			send = func(method, path, body string) answerOf {
				return s.send(t.Context(), method, path, body, "Cookie: "+cookie, "Tally-Csrf: "+csrf)
			}
		}
		// The order in which topics are made and removed again.
		for _, method := range []string{"GET", "PATCH", "POST", "DELETE"} {
			for call, needs := range calls {
				if !strings.HasPrefix(call, method+" ") {
					continue
				}
				for i, own := range cases["blog"][call] {
					name := fmt.Sprintf("%s, %s, case %d", role, call, i)
					mayNot := needs == "admin" || needs == "editor" && role == owner.Viewer
					answer := send(method, own.path, own.body)
					if mayNot != (answer.status == 403 && strings.Contains(answer.body, `"role_not_allowed"`)) || !mayNot && answer.status/100 != 2 {
						t.Errorf("%s, own site: %d %s", name, answer.status, answer.body)
					}
					s.checkHidden(name, role, answer, own.body == "")
					if own.ofAll {
						continue
					}
					theirs, none := cases["docs"][call][i], cases["none"][call][i]
					answer, missing := send(method, theirs.path, theirs.body), send(method, none.path, none.body)
					switch {
					case mayNot:
						if answer.status != 403 {
							t.Errorf("%s, foreign site: %d %s", name, answer.status, answer.body)
						}
					case theirs.refused != "":
						if answer.status != 200 || !strings.Contains(answer.body, theirs.refused) {
							t.Errorf("%s, foreign site: %d %s", name, answer.status, answer.body)
						}
					case answer.status != 404 || strings.ReplaceAll(answer.body, "docs", "none") != missing.body:
						t.Errorf("%s, foreign site: %d %s; a site that does not exist: %s", name, answer.status, answer.body, missing.body)
					}
				}
			}
		}
	}
	_, after, _ := strings.Cut(s.header("admin", "GET", "export?site=docs", "").body, "\n")
	if after != foreign {
		t.Errorf("the foreign site changed from\n%s\nto\n%s", foreign, after)
	}
	if tokens := s.header("admin", "GET", "tokens", ""); strings.Count(tokens.body, `"name"`) != 3 || strings.Contains(tokens.body, "tally_") {
		t.Errorf("tokens: %s", tokens.body)
	}
}

// checkHidden checks that the answer to a role of the site blog contains nothing that it must hide. The
// answer may repeat the content of the body.
func (s *sites) checkHidden(name string, role owner.Role, answer answerOf, isRead bool) {
	s.t.Helper()
	hidden := []string{"docs", adminAddress, "secret.db", `"token":"`}
	if role == owner.Viewer {
		hidden = append(hidden, "203.0.113", "192.0.2")
	}
	text := answer.body + fmt.Sprint(answer.header)
	for _, secret := range hidden {
		if isRead && strings.Contains(text, secret) {
			s.t.Errorf("%s: the answer has %q: %s", name, secret, text)
		}
	}
	if answer.header.Get(admin.StoreHeader) != "" {
		s.t.Errorf("%s: the answer names the store", name)
	}
}

// An editor of two sites may merge across them, and each site's own readers do not see it.
func TestAccess_TwoSites(t *testing.T) {
	s := newSites(t, nil)
	merge := `{"from":["docs/likes/page-of-docs"],"to":"blog/likes/page-of-blog"}`
	if answer := s.header("editor", "POST", "merge", merge); answer.status != 404 {
		t.Errorf("by an editor of one: %d %s", answer.status, answer.body)
	}
	if answer := s.header("both", "POST", "merge", merge); answer.status != 200 || !strings.Contains(answer.body, `"count":80`) {
		t.Errorf("by an editor of both: %d %s", answer.status, answer.body)
	}
	if log := s.header("viewer", "GET", "audit", ""); strings.Contains(log.body, "merge") {
		t.Errorf("the log of one site: %s", log.body)
	}
	if log := s.header("both", "GET", "audit", ""); strings.Count(log.body, `"merge"`) != 2 || !strings.Contains(log.body, `"actor":"token both"`) {
		t.Errorf("the log of both: %s", log.body)
	}
	if log := s.header("admin", "GET", "audit", ""); !strings.Contains(log.body, `"actor":"token both `+adminAddress+`"`) {
		t.Errorf("the log: %s", log.body)
	}
}

// An editor's import adds no setting that the editor's own calls would refuse.
func TestAccess_ImportedSettings(t *testing.T) {
	s := newSites(t, nil)
	head, _, _ := strings.Cut(s.header("admin", "GET", "export", "").body, "\n")
	before := s.header("admin", "GET", "export", "").body
	refused := 0
	var lines strings.Builder
	for _, setting := range []string{
		"block range 198.51.100.0/24", "block site docs range 198.51.100.0/24", "block site blog range 0.0.0.0/0", "block site blog visitor x",
		"block site blog range 198.51.100.7/24", "block site none range 198.51.100.0/24", "former docs/likes/page-of-docs", "former blog/likes/x",
		"alias mark blog/likes/page-of-blog", "claim blog/likes/page-of-blog", "session x", "token x", "",
	} {
		if setting != "" {
			refused++
		}
		fmt.Fprintf(&lines, "{\"order\":%q,\"value\":%q}\n", setting, `["docs/likes/x"]`)
	}
	answer := s.header("editor", "POST", "import", head+"\n"+lines.String())
	if want := fmt.Sprintf(`"orders":0,"refused":%d,`, refused); answer.status != 200 || !strings.Contains(answer.body, want) {
		t.Errorf("%d %s, want %s", answer.status, answer.body, want)
	}
	_, before, _ = strings.Cut(before, "\n")
	if _, after, _ := strings.Cut(s.header("admin", "GET", "export", "").body, "\n"); after != before {
		t.Errorf("the settings changed from\n%s\nto\n%s", before, after)
	}
}

// An import stores the other lines if one has a setting of a foreign site.
func TestAccess_ImportedForeignSetting(t *testing.T) {
	s := newSites(t, nil)
	head, _, _ := strings.Cut(s.header("admin", "GET", "export", "").body, "\n")
	lines := `
{"order":"former blog/likes/a","value":"[\"blog/likes/b\"]"}
{"order":"former docs/likes/a","value":"[\"blog/likes/c\"]"}
{"order":"block site blog range 198.51.100.0/24","value":"x"}
`
	answer := s.header("editor", "POST", "import", head+lines)
	if answer.status != 200 || !strings.Contains(answer.body, `"orders":2,"refused":1,`) || !strings.Contains(answer.body, `"line":3,`) {
		t.Errorf("%d %s", answer.status, answer.body)
	}
}

// A token in the header takes precedence over any cookie. A session has the role of its token,
// and its changes need its own CSRF secret.
func TestAccess_SessionAndHeader(t *testing.T) {
	s := newSites(t, nil)
	send := func(method, path, body string, headers ...string) answerOf {
		return s.send(t.Context(), method, path, body, headers...)
	}
	viewer, viewerCSRF := s.signIn("viewer")
	editor, editorCSRF := s.signIn("editor")
	boss, bossCSRF := s.signIn("admin")
	for name, headers := range map[string][]string{
		"viewer's token, admin's cookie": {"Authorization: Bearer " + s.tokens["viewer"], "Cookie: " + boss, "Tally-Csrf: " + bossCSRF},
		"viewer's session":               {"Cookie: " + viewer, "Tally-Csrf: " + viewerCSRF},
	} {
		if answer := send("PATCH", "topics/blog/likes/a", `{"count":1}`, headers...); answer.status != 403 || !strings.Contains(answer.body, "role_not_allowed") {
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
		}
	}
	for name, headers := range map[string][]string{
		"no CSRF":                      {"Cookie: " + editor},
		"CSRF of another session":      {"Cookie: " + editor, "Tally-Csrf: " + viewerCSRF},
		"editor's cookie, admin's":     {"Cookie: " + editor, "Tally-Csrf: " + bossCSRF},
		"page of another origin":       {"Cookie: " + editor, "Tally-Csrf: " + editorCSRF, "Sec-Fetch-Site: cross-site"},
		"wrong token, editor's cookie": {"Authorization: Bearer tally_wrong", "Cookie: " + editor, "Tally-Csrf: " + editorCSRF},
		"a longer cookie":              {"Cookie: " + editor + "AAAA", "Tally-Csrf: " + editorCSRF},
		"a shorter cookie":             {"Cookie: " + editor[:len(editor)-8], "Tally-Csrf: " + editorCSRF},
		"the token as a cookie":        {"Cookie: tally_admin=" + s.tokens["editor"], "Tally-Csrf: " + editorCSRF},
		"the cookie as a token":        {"Authorization: Bearer " + strings.TrimPrefix(editor, "tally_admin=")},
		"the name as a token":          {"Authorization: Bearer editor"},
	} {
		if answer := send("PATCH", "topics/blog/likes/a", `{"count":1}`, headers...); answer.status != 401 && !strings.Contains(answer.body, "origin_not_allowed") {
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
		}
	}
	if answer := send("PATCH", "topics/blog/likes/a", `{"count":1}`, "Cookie: "+editor, "Tally-Csrf: "+editorCSRF); answer.status != 200 {
		t.Errorf("editor's session: %d %s", answer.status, answer.body)
	}
	for name, want := range map[string]string{
		viewer: `"role":"viewer","token":"viewer","sites":["blog"]`, editor: `"role":"editor","token":"editor","sites":["blog"]`,
		boss: `"role":"admin","sites":["blog","default","docs"]`,
	} {
		if answer := send("GET", "session", "", "Cookie: "+name); !strings.Contains(answer.body, want) {
			t.Errorf("session: %s, want %s", answer.body, want)
		}
	}
	if answer := send("GET", "topics?token="+s.tokens["viewer"], ""); answer.status != 401 {
		t.Errorf("a token in the URL: %d", answer.status)
	}
	if answer := send("DELETE", "session", "", "Cookie: "+viewer, "Tally-Csrf: "+viewerCSRF); answer.status != 204 {
		t.Errorf("sign out: %d %s", answer.status, answer.body)
	}
	if answer := send("GET", "topics", "", "Cookie: "+viewer); answer.status != 401 {
		t.Errorf("after signing out: %d %s", answer.status, answer.body)
	}
}

// Wrong tokens are limited by address, and never delay a right one.
func TestAccess_GuessedTokens(t *testing.T) {
	s := newSites(t, nil)
	limited := 0
	for i := range 50 {
		if answer := s.send(t.Context(), "GET", "topics", "", fmt.Sprint("Authorization: Bearer tally_", i)); answer.status == 429 {
			limited++
		}
	}
	if limited != 40 {
		t.Errorf("%d of 50 guesses were limited, want 40", limited)
	}
	if answer := s.header("viewer", "GET", "topics", ""); answer.status != 200 {
		t.Errorf("the right token: %d %s", answer.status, answer.body)
	}
}

// The files of the dashboard have no data, and are the same for all clients.
func TestAccess_Pages(t *testing.T) {
	s := newSites(t, nil)
	for _, name := range []string{"viewer", "editor", "admin", ""} {
		r := httptest.NewRequest("GET", "/admin/", nil)
		r.Header.Set("Authorization", "Bearer "+s.tokens[name])
		w := httptest.NewRecorder()
		s.server.ServeAdmin(w, r, admin.Caller{})
		if w.Code != 200 || w.Body.String() != "<p>hello" {
			t.Errorf("%q: %d %s", name, w.Code, w.Body)
		}
	}
}
