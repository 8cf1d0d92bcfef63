package push

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// The browser tests read the same golden frames.
func TestAnswers_Golden(t *testing.T) {
	data, err := os.ReadFile("testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden []struct {
		Name  string
		Frame json.RawMessage
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	checked := map[bool]bool{}
	for _, g := range golden {
		var compact bytes.Buffer
		if err := json.Compact(&compact, g.Frame); err != nil {
			t.Fatal(err)
		}
		var f struct {
			ID    *int64
			Error *struct {
				Code       tally.Code
				Message    string
				RetryAfter int64 `json:"retry_after"`
			}
		}
		if err := json.Unmarshal(g.Frame, &f); err != nil {
			t.Fatal(err)
		}
		if f.ID == nil {
			continue // package hub encodes it
		}
		var failed error
		_, state, _ := bytes.Cut(compact.Bytes(), []byte(","))
		if f.Error != nil {
			// The wait is rounded up.
			failed = &tally.Error{Code: f.Error.Code, Message: f.Error.Message, RetryAfter: time.Duration(f.Error.RetryAfter)*time.Second - time.Millisecond}
		}
		got := appendText(nil, appendFailure(nil, *f.ID, failed))
		if failed == nil {
			got = appendAnswer(nil, *f.ID, append([]byte{'{'}, state...))
		}
		if want := appendText(nil, compact.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("%s: sent as %q, want %q", g.Name, got, want)
		}
		checked[failed == nil] = true
	}
	if len(checked) != 2 {
		t.Error("the golden frames need an answer and an error")
	}
	if got, want := string(appendFailure(nil, 0, tally.Errorf(tally.CodeBlocked, "no"))), `{"id":0,"error":{"code":"blocked","message":"no"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The example of RFC 6455, section 1.3.
func TestHandshake_Answer(t *testing.T) {
	header := http.Header{"Vary": {"Origin"}}
	got := string(appendHandshake(nil, header, "dGhlIHNhbXBsZSBub25jZQ=="))
	want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\nVary: Origin\r\n\r\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
