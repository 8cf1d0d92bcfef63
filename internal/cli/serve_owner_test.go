package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestConfigure_KnownKeys(t *testing.T) {
	t.Parallel()
	const sitemap = "https://a.example/sitemap.xml"
	for name, c := range map[string]config.Config{
		"flags":       configOf(t, variables(), "", "--site", "blog=https://a.example", "--site", "blog=sitemap="+sitemap, "--site", "docs=*,keys=known"),
		"environment": configOf(t, variables("TALLYCAST_SITE=blog=https://a.example,blog=sitemap="+sitemap+",docs=*,docs=keys=known"), ""),
		"file":        configOf(t, variables(), "site:\n  - blog=https://a.example\n  - blog=keys=known\n  - blog=sitemap="+sitemap+"\n  - docs=*\n  - docs=keys=known\n"),
	} {
		if want := (config.KnownSites{"blog": {sitemap}, "docs": nil}); !reflect.DeepEqual(c.KnownKeys, want) {
			t.Errorf("%s: known %v", name, c.KnownKeys)
		}
		if want := (config.Sites{"default": nil, "blog": {"https://a.example"}, "docs": {"*"}}); !reflect.DeepEqual(c.Sites, want) {
			t.Errorf("%s: sites %v", name, c.Sites)
		}
	}
}

func TestServe_Sitemap(t *testing.T) {
	t.Parallel()
	blog := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>`)
	}))
	t.Cleanup(blog.Close)
	r := start(t, variables(), "--store", "sqlite:"+t.TempDir()+"/tally.db", "--log-format", "json",
		"--site", "blog=https://blog.example", "--site", "blog=sitemap="+blog.URL+"/sitemap.xml")
	eventually(t, "a page of the sitemap may be liked", func() bool {
		return send(t, http.MethodPost, r.public+"/v1/blog/likes/hello", "visitor-1").Changed
	})
	if a := send(t, http.MethodPost, r.public+"/v1/blog/likes/made-up", "visitor-1"); a.Code != "unknown_key" {
		t.Errorf("a page that nobody knows: %+v", a)
	}
	if a := send(t, http.MethodPost, r.public+"/v1/default/likes/made-up", "visitor-1"); !a.Changed {
		t.Errorf("a page of a site without known keys: %+v", a)
	}
}

// A sitemap index may name the origins of its site; others are skipped and logged.
func TestServe_SitemapIndexThatNamesOtherHosts(t *testing.T) {
	t.Parallel()
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>`)
	}))
	t.Cleanup(pages.Close)
	index := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<sitemapindex><sitemap><loc>`+pages.URL+`/pages.xml</loc></sitemap><sitemap><loc>https://other.example/x.xml</loc></sitemap></sitemapindex>`)
	}))
	t.Cleanup(index.Close)
	r := start(t, variables(), "--store", sqlite(t), "--site", "blog="+pages.URL, "--site", "blog=sitemap="+index.URL+"/index.xml")
	eventually(t, "a page of the sitemap may be liked", func() bool {
		return send(t, http.MethodPost, r.public+"/v1/blog/likes/hello", "visitor-1").Changed
	})
	eventually(t, "what is skipped", func() bool {
		record := r.log.Record("addresses in the sitemap are skipped")
		return record["skipped"] == 1.0 && record["site"] == "blog" && strings.Contains(fmt.Sprint(record["examples"]), "https://other.example/x.xml")
	})
}

const adminToken = "0123456789abcdef-of-the-owner"

// admin calls the admin API and decodes the answer into out.
func (r *running) admin(t *testing.T, method, path, body string, out any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.public+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if out != nil {
		if err := json.NewDecoder(response.Body).Decode(out); err != nil {
			t.Fatalf("%s %s: %s, %v", method, path, response.Status, err)
		}
	}
	return response.StatusCode
}

// signIn signs in to the dashboard.
func (r *running) signIn(t *testing.T) (cookie *http.Cookie, csrf string) {
	t.Helper()
	response, err := client.Post(r.public+"/admin/v1/session", "application/json", strings.NewReader(`{"token":"`+adminToken+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if len(response.Cookies()) != 1 {
		t.Fatalf("signed in with %s", response.Status)
	}
	var session struct{ CSRF string }
	r.withCookie(t, response.Cookies()[0], "", http.MethodGet, &session)
	return response.Cookies()[0], session.CSRF
}

// signedIn reads or ends the session of a cookie.
func (r *running) signedIn(t *testing.T, cookie *http.Cookie, csrf, method string) (status int) {
	t.Helper()
	return r.withCookie(t, cookie, csrf, method, nil)
}

func (r *running) withCookie(t *testing.T, cookie *http.Cookie, csrf, method string, out any) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.public+"/admin/v1/session", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.AddCookie(cookie)
	request.Header.Set("Tally-Csrf", csrf)
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if out != nil {
		if err := json.NewDecoder(response.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
	return response.StatusCode
}

func TestServe_SharedSettings(t *testing.T) {
	t.Parallel()
	url := redistest.Start(t, redistest.Options{}).URL(0)
	var all []*running
	for range 2 {
		all = append(all, start(t, variables("TALLYCAST_ADMIN_TOKEN="+adminToken), "--store", url, "--log-format", "json"))
	}
	if a := send(t, http.MethodPost, all[0].public+"/v1/default/likes/old", "visitor-1"); a.Count != 1 {
		t.Fatalf("a like: %+v", a)
	}
	if status := all[0].admin(t, http.MethodPost, "/admin/v1/rename", `{"from":"default/likes/old","to":"default/likes/new"}`, nil); status != http.StatusOK {
		t.Fatalf("renamed with %d", status)
	}
	// The other instance knows it: the visitor is recognised under the old name.
	eventually(t, "the other instance knows the former name", func() bool {
		read, err := http.NewRequestWithContext(t.Context(), http.MethodGet, all[1].public+"/v1/default/likes/new", nil)
		if err != nil {
			t.Fatal(err)
		}
		read.Header.Set("Tally-Visitor", "visitor-1")
		response, err := client.Do(read)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var a answer
		return json.NewDecoder(response.Body).Decode(&a) == nil && a.Count == 1 && a.Mine == 1
	})
	if status := all[1].admin(t, http.MethodPost, "/admin/v1/blocks", `{"visitor":"visitor-2","reason":"a robot"}`, nil); status >= 300 {
		t.Fatalf("blocked with %d", status)
	}
	eventually(t, "who was blocked at the other instance is blocked here", func() bool {
		return send(t, http.MethodPost, all[0].public+"/v1/default/likes/new", "visitor-2").Code == "blocked"
	})
	// A sign-out at one instance ends the session at the other.
	cookie, csrf := all[0].signIn(t)
	if status := all[1].signedIn(t, cookie, "", http.MethodGet); status != http.StatusOK {
		t.Fatalf("a session of the other instance is answered %d", status)
	}
	if status := all[0].signedIn(t, cookie, csrf, http.MethodDelete); status != http.StatusNoContent {
		t.Fatalf("signed out with %d", status)
	}
	eventually(t, "the session is over everywhere", func() bool {
		return all[0].signedIn(t, cookie, "", http.MethodGet) == http.StatusUnauthorized && all[1].signedIn(t, cookie, "", http.MethodGet) == http.StatusUnauthorized
	})
	eventually(t, "both tell of themselves", func() bool {
		var seen struct{ Instances []owner.InstanceStatus }
		all[0].admin(t, http.MethodGet, "/admin/v1/overview", "", &seen)
		names := map[string]bool{}
		for _, i := range seen.Instances {
			if i.Instance != "" && !i.Started.IsZero() && i.Version != "" && i.StaleSince.IsZero() && i.StoreFault == "" {
				names[fmt.Sprint(i.Instance)] = true
			}
		}
		return len(names) == 2
	})
}

func TestServe_NoAdminToken(t *testing.T) {
	t.Parallel()
	r := start(t, variables(), "--store", "sqlite:"+t.TempDir()+"/tally.db", "--log-format", "json")
	if status := r.admin(t, http.MethodGet, "/admin/v1/overview", "", nil); status != http.StatusNotFound {
		t.Errorf("answered %d", status)
	}
	if !strings.Contains(r.log.String(), "--admin-token") {
		t.Error("the log does not say which flag opens it")
	}
}
