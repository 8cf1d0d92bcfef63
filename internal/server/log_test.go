package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

func TestLogger_Durations(t *testing.T) {
	for form, want := range map[string]string{"text": "over=10s of.took=1.5ms", "json": `"over":"10s","of":{"took":"1.5ms"}`} {
		var out bytes.Buffer
		log, _ := newLogger(config.Config{LogFormat: form, LogLevel: "info"}, &out)
		log.Info("draining", "over", 10*time.Second, slog.Group("of", "took", 1500*time.Microsecond))
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s does not say %s: %s", form, want, out.String())
		}
	}
}
