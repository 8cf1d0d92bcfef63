package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "admin-token-of-this-test"
	// arriveWithin is how long a request may take to arrive at the servers of these tests.
	arriveWithin = 300 * time.Millisecond
	// patience is how long anything may take that is to come.
	patience = 20 * time.Second
)

// slowStore is a real store that lets the owner wait, or goes away.
type slowStore struct {
	*sqlitestore.Store
	list func(context.Context)                      // before a List
	edit func(context.Context)                      // before an Edit
	dump func(each func(tally.Portion) error) error // instead of Dump
}

func (s *slowStore) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	if s.dump != nil {
		return s.dump(each)
	}
	return s.Store.Dump(ctx, scope, each)
}

func (s *slowStore) List(ctx context.Context, l tally.Listing) (tally.Page, error) {
	if s.list != nil {
		s.list(ctx)
	}
	return s.Store.List(ctx, l)
}

func (s *slowStore) Edit(ctx context.Context, edits []tally.Edit) {
	if s.edit != nil {
		s.edit(ctx)
	}
	s.Store.Edit(ctx, edits)
}

// serve serves what is below /admin as a listener does that faces the public.
func serve(t *testing.T, prepare func(*slowStore)) *httptest.Server {
	t.Helper()
	catalog := tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics())
	real, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &slowStore{Store: real}
	if prepare != nil {
		prepare(store)
	}
	a := admin.New(admin.Options{Owner: owner.New(store, tally.NewService(store, catalog), owner.Options{}), Store: store, Catalog: catalog, Token: token, Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		here := netip.MustParseAddr("127.0.0.1")
		a.ServeAdmin(w, r, admin.Caller{Address: here, Client: here, RequestID: "id"})
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = arriveWithin, arriveWithin
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func call(ctx context.Context, t *testing.T, server *httptest.Server, method, path, body string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, server.URL+"/admin/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// An answer may take longer to make than a request may take to arrive.
func TestWhatTakesLongIsNotCutOff(t *testing.T) {
	linger := func(ctx context.Context) {
		select {
		case <-ctx.Done():
			t.Errorf("cut off: %v", context.Cause(ctx))
		case <-time.After(2 * arriveWithin): // passes the deadline of the request
		}
	}
	server := serve(t, func(s *slowStore) { s.list, s.edit = linger, linger })
	if status, text, err := call(t.Context(), t, server, "GET", "topics", ""); status != 200 {
		t.Errorf("%d %s %v", status, text, err)
	}
	if status, text, err := call(t.Context(), t, server, "PATCH", "topics/blog/likes/a", `{"count":1}`); status != 200 {
		t.Errorf("%d %s %v", status, text, err)
	}
}

func TestWhoSendsABodySlowlyIsCutOff(t *testing.T) {
	server := serve(t, nil)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /admin/v1/reset HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", token)
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection stays open: %v, %s", err, text)
	}
}

// Half of a merge is no merge: what was begun goes on without whoever asked for it.
func TestAChangeIsCarriedThroughWhenTheAskerIsGone(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	server := serve(t, func(s *slowStore) {
		s.edit = func(ctx context.Context) {
			close(begun)
			<-gone
			if ctx.Err() != nil {
				t.Error(ctx.Err())
			}
			s.edit = nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() { // ends with ctx
		_, _, err := call(ctx, t, server, "PATCH", "topics/blog/likes/a", `{"count":7}`)
		asked <- err
	}()
	<-begun
	cancel()
	if err := <-asked; err == nil {
		t.Error("it was answered")
	}
	close(gone)
	for path, want := range map[string]string{"topics/blog/likes/a": `"count":7`, "audit": `"action":"set"`} {
		deadline := time.Now().Add(patience)
		for {
			_, text, err := call(t.Context(), t, server, "GET", path, "")
			if strings.Contains(text, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s %v", path, text, err)
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
}

func TestWrongTokensSentAtOnceAreCountedOneByOne(t *testing.T) {
	server := serve(t, nil)
	var wrong, limited atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			request, _ := http.NewRequest("GET", server.URL+"/admin/v1/topics", nil)
			request.Header.Set("Authorization", "Bearer wrong")
			response, err := server.Client().Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			switch response.StatusCode {
			case 401:
				wrong.Add(1)
			case 429:
				limited.Add(1)
			}
		})
	}
	group.Wait()
	if wrong.Load() != 10 || limited.Load() != 40 {
		t.Errorf("%d were compared and %d refused, want 10 and 40", wrong.Load(), limited.Load())
	}
}

// What a preview promises the stores keep.
func TestASeedThatStoresRefuseIsRefusedInAPreview(t *testing.T) {
	server := serve(t, nil)
	for _, preview := range []string{"true", "false"} {
		body := `{"seeds":[{"topic":"blog/likes/a","seed":2251799813685249},{"topic":"blog/likes/b","seed":2251799813685248}],"preview":` + preview + `}`
		status, text, err := call(t.Context(), t, server, "POST", "seeds", body)
		if err != nil || status != http.StatusOK || strings.Count(text, "bad_amount") != 1 || strings.Count(text, `"changed":true`) != 1 {
			t.Errorf("preview %s: %d %s, error %v", preview, status, text, err)
		}
	}
}

// A file of something else than an export has as many wrong lines as bytes, nearly.
func TestTheRefusalsOfAnImportAreBounded(t *testing.T) {
	server := serve(t, nil)
	_, export, err := call(t.Context(), t, server, "GET", "export", "")
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(export, "\n")
	const lines = 20_000
	request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/admin/v1/import", strings.NewReader(header+strings.Repeat("\nx", lines)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/jsonl")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var report struct {
		Refused  int               `json:"refused"`
		Refusals []json.RawMessage `json:"refusals"`
	}
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil || report.Refused != lines || len(report.Refusals) != 10_000 {
		t.Errorf("%d of %d refusals are named, error %v", len(report.Refusals), report.Refused, err)
	}
}

// Anybody may ask for pages, and make nothing fail by it.
func TestWhatIsNoPageIsNotFound(t *testing.T) {
	pages := fstest.MapFS{"index.html": {Data: []byte("<p>hello")}, "part.d/a.js": {Data: []byte("1")}}
	a := admin.New(admin.Options{Token: token, Pages: pages, Logger: slog.New(slog.DiscardHandler)})
	for path, want := range map[string]int{
		"/admin": 308, "/admin/": 200, "/admin/index.html": 200, "/admin/part.d/a.js": 200,
		"/admin/.": 404, "/admin/..": 404, "/admin/part.d": 404, "/admin/part.d/": 404, "/admin//index.html": 404, "/admin/../index.html": 404, "/admin/none.js": 404,
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.URL.Path = path
		answer := httptest.NewRecorder()
		a.ServeAdmin(answer, request, admin.Caller{})
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}
