package admin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/tally"
)

// A revoked token ends at once, with its sessions and with its running exports and previews,
// even an export whose client stopped reading. A change that has begun is carried out.
func TestAccess_Revoked(t *testing.T) {
	began, proceed := make(chan string, 10), make(chan struct{})
	s := newSites(t, nil)
	hold := func(name string) func(context.Context) {
		return func(ctx context.Context) {
			began <- name
			select {
			case <-ctx.Done():
			case <-proceed:
			}
		}
	}
	cookie, _ := s.signIn("editor")
	s.store.read, s.store.edit = hold("preview"), hold("change")
	endless := make(chan struct{})
	s.store.dump = func(each func(tally.Portion) error) error {
		began <- "export"
		defer close(endless)
		for i := 0; ; i++ {
			topic, _ := tally.NewTopic("blog", "likes", fmt.Sprint("post-", i))
			if err := each(tally.Portion{State: tally.State{Change: tally.Change{Topic: topic, Version: 1}}, First: true, Last: true}); err != nil {
				return err
			}
		}
	}
	local := netip.MustParseAddr(adminAddress)
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.server.ServeAdmin(w, r, admin.Caller{Address: local, Client: local})
	}))
	defer listener.Close()
	type result struct {
		name   string
		status int
		err    error
	}
	results := make(chan result, 3)
	for name, each := range map[string][3]string{
		"export":  {"GET", "export", ""},
		"preview": {"POST", "undo", `{"site":"blog","from":"2026-01-01T00:00:00Z","preview":true}`},
		"change":  {"PATCH", "topics/blog/likes/changed", `{"count":7}`},
	} {
		go func() { // ends when the call is answered
			r, _ := http.NewRequest(each[0], listener.URL+"/admin/v1/"+each[1], strings.NewReader(each[2]))
			r.Header.Set("Authorization", "Bearer "+s.tokens["editor"])
			r.Header.Set("Content-Type", "application/json")
			answer, err := listener.Client().Do(r)
			if err != nil {
				results <- result{name, 0, err}
				return
			}
			defer answer.Body.Close()
			if name == "export" {
				<-endless // this client does not read
			}
			_, err = io.Copy(io.Discard, answer.Body)
			results <- result{name, answer.StatusCode, err}
		}()
	}
	for range 3 {
		<-began
	}
	if answer := s.header("admin", "DELETE", "tokens/editor", ""); answer.status != 204 {
		t.Fatalf("revoke: %d %s", answer.status, answer.body)
	}
	for range 2 {
		switch r := <-results; {
		case r.name == "export" && r.err == nil:
			t.Error("the export looks complete")
		case r.name == "preview" && r.status != 401:
			t.Errorf("the preview: %+v", r)
		case r.name == "change":
			t.Errorf("the change ended: %+v", r)
		}
	}
	close(proceed)
	if r := <-results; r.status != 200 {
		t.Errorf("the change: %+v", r)
	}
	s.store.read, s.store.edit, s.store.dump = nil, nil, nil
	for name, answer := range map[string]answerOf{
		"token":   s.header("editor", "GET", "topics", ""),
		"session": s.send(t.Context(), "GET", "topics", "", "Cookie: "+cookie),
		"sign in": s.send(t.Context(), "POST", "session", `{"token":"`+s.tokens["editor"]+`"}`),
	} {
		if answer.status != 401 {
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
		}
	}
	if state := s.header("admin", "GET", "topics/blog/likes/changed", ""); !strings.Contains(state.body, `"count":7`) {
		t.Errorf("the change that had begun: %s", state.body)
	}
}
