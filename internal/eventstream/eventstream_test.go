package eventstream_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/eventstream"
)

func TestReader_Next(t *testing.T) {
	r := eventstream.NewReader(strings.NewReader("retry: 1500\n\n: comment\ndata: {\"a\":1}\n\ndata:b\r\n\nid: 7\nretry: x\ndata"))
	for _, want := range []string{`{"a":1}`, "b", ""} {
		data, err := r.Next()
		if err != nil || string(data) != want {
			t.Fatalf("%q, %v, want %q", data, err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v at the end", err)
	}
	if r.Retry != 1500*time.Millisecond {
		t.Errorf("retry %s", r.Retry)
	}
	long := eventstream.NewReader(strings.NewReader("data: " + strings.Repeat("x", 1<<20)))
	if _, err := long.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v for a line of a megabyte", err)
	}
}
