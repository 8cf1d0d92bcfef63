package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

func respond(err error, accept string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	w.Header().Set("Etag", `"1"`)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	problem.Respond(w, r, err, problem.Details{RequestID: "id", ReturnURL: "/?a&b"})
	return w
}

// An error without a known code shows nothing of its text.
func TestRespond_UnknownError(t *testing.T) {
	for _, err := range []error{errors.New("the disk at /secret is full"), &tally.Error{Code: "made_up", Message: "/secret"}} {
		w := respond(fmt.Errorf("write: %w", err), "*/*")
		if text := w.Body.String(); w.Code != http.StatusInternalServerError || !strings.Contains(text, `"code":"internal"`) || strings.Contains(text, "secret") {
			t.Errorf("%d %s", w.Code, text)
		}
	}
}

func TestRespond_Documents(t *testing.T) {
	for _, code := range problem.Codes() {
		w := respond(tally.Errorf(code, "%s", "quotes \" \\ \n and \xff <b>"), "application/json")
		var read struct {
			Status    int
			Code      tally.Code
			Detail    string
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &read); err != nil || read.Status != w.Code || read.Code != code || read.Detail != "quotes \" \\ \n and \uFFFD <b>" || read.RequestID != "id" {
			t.Errorf("%v: %s", err, w.Body)
		}
		if !strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s is hard to read", w.Body)
		}
	}
}

func TestRespond_Page(t *testing.T) {
	w := respond(tally.Errorf(tally.CodeBlocked, "not <b>here</b>"), "text/html,*/*")
	for _, want := range []string{"not &lt;b&gt;here", `href="/?a&amp;b"`, "blocked"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q: %s", want, w.Body)
		}
	}
	if w.Code != http.StatusForbidden || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestRespond_RetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		h := respond(&tally.Error{Code: tally.CodeRateLimited, RetryAfter: wait}, "").Header()
		if h.Get("Retry-After") != want || h.Get("Cache-Control") != "no-store" || h.Get("Etag") != "" {
			t.Errorf("%s: %v", wait, h)
		}
	}
}
