package problem_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestWhatHasNoCodeShowsNothingOfItself(t *testing.T) {
	for _, err := range []error{errors.New("the disk at /secret is full"), &tally.Error{Code: "made_up", Message: "/secret"}} {
		e, status := problem.Of(fmt.Errorf("write: %w", err))
		if text := string(problem.Append(nil, e, status, "id")); status != http.StatusInternalServerError || e.Code != tally.CodeInternal || strings.Contains(text, "secret") {
			t.Errorf("%d %s", status, text)
		}
	}
}

func TestADocumentIsJSONWhateverItSays(t *testing.T) {
	for _, code := range problem.Codes() {
		e, status := problem.Of(tally.Errorf(code, "%s", "quotes \" \\ \n and \xff"))
		var read struct {
			Status    int
			Code      tally.Code
			Detail    string
			RequestID string `json:"request_id"`
		}
		text := problem.Append(nil, e, status, "id")
		if err := json.Unmarshal(text, &read); err != nil || read.Status != status || read.Code != code || read.Detail != "quotes \" \\ \n and \uFFFD" || read.RequestID != "id" {
			t.Errorf("%v: %s", err, text)
		}
	}
}

func TestARefusalSaysWhenToTryAgainInWholeSeconds(t *testing.T) {
	for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2"} {
		h := http.Header{"Etag": {`"1"`}}
		problem.SetHeader(h, &tally.Error{Code: tally.CodeRateLimited, RetryAfter: wait}, http.StatusTooManyRequests, "")
		if h.Get("Retry-After") != want || h.Get("Cache-Control") != "no-store" || h.Get("Etag") != "" {
			t.Errorf("%s: %v", wait, h)
		}
	}
}
