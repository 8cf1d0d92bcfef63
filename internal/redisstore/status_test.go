package redisstore

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestStatus_LogLimit(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	s := newStatus(slog.New(slog.NewTextHandler(&text, nil)), primaryMessages)
	for range 1000 {
		s.setFailed(errors.New("EOF"))
		s.setUsable(nil)
	}
	if n := strings.Count(text.String(), "\n"); n > 2*logBurst+1 {
		t.Errorf("%d lines for 1000 failures:\n%s", n, text.String())
	}
	if h := s.health(); h.Err != nil || !h.Reached {
		t.Errorf("health %+v", h)
	}
}

func TestStatus_LogsOtherCauses(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	s := newStatus(slog.New(slog.NewTextHandler(&text, nil)), primaryMessages)
	s.setUsable(nil)
	for range 10 {
		s.setFailed(errors.New("read tcp: i/o timeout"))
		s.setFailed(errors.New("connection refused"))
	}
	for range 10 {
		s.setFailed(explain(answered("OOM command not allowed")))
	}
	if got := strings.Count(text.String(), "level=ERROR"); got != 2 || !strings.Contains(text.String(), "out of memory") {
		t.Errorf("%d errors are logged:\n%s", got, text.String())
	}
}

func TestStatus_Slow(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	s := newStatus(slog.New(slog.NewTextHandler(&text, nil)), primaryMessages)
	s.setUsable(nil)
	s.addRoundTrip(time.Second) // one slow probe is no warning
	s.addRoundTrip(time.Millisecond)
	for range 10 {
		if len(s.health().Warnings) > 0 {
			break
		}
		s.addRoundTrip(slowRoundTrip)
	}
	if w := s.health().Warnings; len(w) != 1 || !strings.Contains(w[0], slowRoundTrip.String()) {
		t.Errorf("warnings %q", w)
	}
	s.addRoundTrip(slowRoundTrip)
	s.addRoundTrip(time.Millisecond)
	if w := s.health().Warnings; len(w) != 0 {
		t.Errorf("warnings though the store is no longer slow: %q", w)
	}
	if got := text.String(); strings.Count(got, "level=WARN") != 1 || strings.Count(got, "no longer slow") != 1 {
		t.Errorf("logged:\n%s", got)
	}
}
