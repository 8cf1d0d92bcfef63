package owner_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

var editorial = owner.Token{Name: "editorial", Role: owner.Editor, Sites: []string{"docs", "blog", "blog"}}

// A token works and ends on each instance. Only its hash is stored.
func TestToken_AllInstances(t *testing.T) {
	onEachStore(t, func(t *testing.T, w *stores) {
		ctx, other := t.Context(), open(w.second)
		o := openWith(w.first, owner.Options{Broadcast: func(payload []byte) { other.Receive(payload) }})
		defer run(t, other)()
		created, token, err := o.CreateToken(ctx, "admin ::1", editorial)
		if err != nil || fmt.Sprint(created.Sites) != "[blog docs]" || len(token) < 32 {
			t.Fatalf("%+v %q, error %v", created, token, err)
		}
		var access owner.Access
		for _, each := range []*instance{o, other} {
			processtest.Eventually(t, "the token is valid", func() bool {
				access, err = each.Authenticate(ctx, token)
				return err == nil
			})
			if access.Role != owner.Editor || access.Token != "editorial" || fmt.Sprint(access.Sites) != "[blog docs]" || access.Revoked.Err() != nil {
				t.Errorf("access: %+v", access)
			}
			if resumed, err := each.Resume(ctx, "editorial", access.ID); err != nil || resumed.Role != owner.Editor {
				t.Errorf("resume: %+v, error %v", resumed, err)
			}
		}
		settings, err := w.first.Settings(ctx)
		if err != nil || strings.Contains(fmt.Sprint(settings), token) {
			t.Errorf("the token itself is stored: %v, error %v", settings, err)
		}
		if _, _, err := o.CreateToken(ctx, "a", editorial); code(err) != tally.CodeBadBody {
			t.Errorf("second token of that name: %v", err)
		}
		for _, wrong := range []string{"", "x", token + "x", token[:len(token)-1], strings.ToLower(token), created.Name} {
			if _, err := other.Authenticate(ctx, wrong); code(err) != tally.CodeNotAuthorized {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		if err := o.RevokeToken(ctx, "admin ::1", "editorial"); err != nil {
			t.Fatal(err)
		}
		// The store confirms each use, so that no broadcast is awaited.
		for _, each := range []*instance{o, other} {
			if _, err := each.Authenticate(ctx, token); code(err) != tally.CodeNotAuthorized {
				t.Errorf("revoked: %v", err)
			}
			if _, err := each.Resume(ctx, "editorial", access.ID); code(err) != tally.CodeNotAuthorized {
				t.Errorf("revoked session: %v", err)
			}
		}
		select {
		case <-access.Revoked.Done(): // of the other instance
		case <-time.After(testTimeout):
			t.Error("what runs is not ended")
		}
		if err := o.RevokeToken(ctx, "a", "editorial"); code(err) != tally.CodeNotFound {
			t.Errorf("second revocation: %v", err)
		}
		// Another token of that name is another token.
		if _, _, err := o.CreateToken(ctx, "a", editorial); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Resume(ctx, "editorial", access.ID); code(err) != tally.CodeNotAuthorized {
			t.Errorf("session of the former token: %v", err)
		}
		if _, err := other.Authenticate(ctx, token); code(err) != tally.CodeNotAuthorized {
			t.Errorf("former token: %v", err)
		}
		log, _, err := o.AuditLog(ctx, "", 10)
		if err != nil || len(log) != 3 || log[2].Action != "create token" || log[2].Detail != "editor of blog, docs" || log[1].Action != "revoke token" {
			t.Errorf("audit log: %+v, error %v", log, err)
		}
	})
}

func TestToken_Invalid(t *testing.T) {
	w := onSQLite(t)
	ctx, o := t.Context(), open(w.first)
	for name, token := range map[string]owner.Token{
		"no name":      {Name: "", Role: owner.Viewer, Sites: []string{"blog"}},
		"space":        {Name: "an editor", Role: owner.Viewer, Sites: []string{"blog"}},
		"control":      {Name: "a\nadmin", Role: owner.Viewer, Sites: []string{"blog"}},
		"slash":        {Name: "a/../b", Role: owner.Viewer, Sites: []string{"blog"}},
		"not Latin":    {Name: "rédaction", Role: owner.Viewer, Sites: []string{"blog"}},
		"long":         {Name: strings.Repeat("a", 65), Role: owner.Viewer, Sites: []string{"blog"}},
		"no role":      {Name: "a", Sites: []string{"blog"}},
		"admin":        {Name: "a", Role: owner.Admin, Sites: []string{"blog"}},
		"no site":      {Name: "a", Role: owner.Viewer},
		"unknown site": {Name: "a", Role: owner.Viewer, Sites: []string{"blog", "none"}},
	} {
		want := tally.CodeBadBody
		if name == "unknown site" {
			want = tally.CodeUnknownSite
		}
		if _, _, err := o.CreateToken(ctx, "a", token); code(err) != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	// A token that a later release stored gives no access, and can be revoked.
	for name, value := range map[string]string{"odd": "{", "later": `{"role":"owner","hash":"AAAA"}`, "short": `{"role":"editor","hash":"AAAA"}`} {
		if err := tally.SetSetting(ctx, w.first, "token "+name, value); err != nil {
			t.Fatal(err)
		}
	}
	if tokens, err := o.Tokens(ctx); err != nil || len(tokens) != 3 {
		t.Errorf("tokens: %+v, error %v", tokens, err)
	}
	if _, err := o.Authenticate(ctx, ""); code(err) != tally.CodeNotAuthorized {
		t.Errorf("no token: %v", err)
	}
	if err := o.RevokeToken(ctx, "a", "odd"); err != nil {
		t.Error(err)
	}
}

func TestToken_Thousand(t *testing.T) {
	w := onSQLite(t)
	ctx, o := t.Context(), open(w.first)
	_, token, err := o.CreateToken(ctx, "a", editorial)
	if err != nil {
		t.Fatal(err)
	}
	more := map[string]string{}
	for i := range 999 {
		hash := sha256.Sum256([]byte(fmt.Sprint("tally_", i)))
		more[fmt.Sprint("token token-", i)] = `{"role":"viewer","sites":["blog"],"hash":"` + base64.StdEncoding.EncodeToString(hash[:]) + `"}`
	}
	if _, err := w.first.SwapSettings(ctx, nil, more); err != nil {
		t.Fatal(err)
	}
	if err := o.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{token: "editorial", "tally_7": "token-7"} {
		if access, err := o.Authenticate(ctx, token); err != nil || access.Token != want {
			t.Errorf("%+v, error %v; want %s", access, err, want)
		}
	}
	if _, _, err := o.CreateToken(ctx, "a", owner.Token{Name: "one-more", Role: owner.Viewer, Sites: []string{"blog"}}); code(err) != tally.CodeBadBody {
		t.Errorf("one more: %v", err)
	}
}

// settingsFaultStore is a store whose settings cannot be read while away is set.
type settingsFaultStore struct {
	fullStore
	away *atomic.Bool
	read *atomic.Int64 // reads of settings
}

func (s settingsFaultStore) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	s.read.Add(1)
	if s.away.Load() {
		return nil, tally.Unavailable(errors.New("test fault"))
	}
	return s.fullStore.Settings(ctx, names...)
}

// While the store cannot confirm tokens, no token is accepted or refused. Guessing takes no calls of the
// store.
func TestToken_StoreAway(t *testing.T) {
	w := onSQLite(t)
	ctx, away, read := t.Context(), &atomic.Bool{}, &atomic.Int64{}
	now := time.Now()
	o := openWith(settingsFaultStore{w.first, away, read}, owner.Options{Now: func() time.Time { return now }})
	_, token, err := o.CreateToken(ctx, "a", editorial)
	if err != nil {
		t.Fatal(err)
	}
	access, err := o.Authenticate(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	before := read.Load()
	for range 100 {
		if _, err := o.Authenticate(ctx, "tally_guessed"); code(err) != tally.CodeNotAuthorized {
			t.Fatal(err)
		}
	}
	if n := read.Load() - before; n > 0 {
		t.Errorf("guesses read the store %d times", n)
	}
	away.Store(true)
	if _, err := o.Authenticate(ctx, token); code(err) != tally.CodeStoreUnavailable {
		t.Errorf("the token: %v", err)
	}
	if _, err := o.Resume(ctx, "editorial", access.ID); code(err) != tally.CodeStoreUnavailable {
		t.Errorf("its session: %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := o.Authenticate(ctx, "tally_created_elsewhere"); code(err) != tally.CodeStoreUnavailable {
		t.Errorf("an unknown token: %v", err)
	}
	away.Store(false)
	if _, err := o.Authenticate(ctx, "tally_guessed"); code(err) != tally.CodeNotAuthorized {
		t.Errorf("an unknown token later: %v", err)
	}
}

// A holder of a token cannot fill the settings with ended sessions.
func TestToken_EndedSessionsAreBounded(t *testing.T) {
	w := onSQLite(t)
	ctx, o := t.Context(), open(w.first)
	until := time.Now().Add(time.Hour)
	ended := map[string]string{}
	for i := range 999 {
		ended[fmt.Sprint("session ", i)] = until.UTC().Format(time.RFC3339)
	}
	if _, err := w.first.SwapSettings(ctx, nil, ended); err != nil {
		t.Fatal(err)
	}
	viewer := owner.Access{Role: owner.Viewer}
	if err := o.EndSession(ctx, viewer, "999", until); err != nil {
		t.Error(err)
	}
	if err := o.EndSession(ctx, viewer, "1000", until); code(err) != tally.CodeRateLimited {
		t.Errorf("one more: %v", err)
	}
	if err := o.EndSession(ctx, owner.Access{Role: owner.Admin}, "admin", until); err != nil || !o.SessionEnded("1000") {
		t.Errorf("session of the admin: %v", err)
	}
}
