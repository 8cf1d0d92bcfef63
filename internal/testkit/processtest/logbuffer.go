package processtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
)

// LogBuffer collects the output of a process. It is safe for concurrent use; the zero
// value is empty.
type LogBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Records returns the JSON log records with a message, in order.
func (b *LogBuffer) Records(message string) (found []map[string]any) {
	for line := range strings.Lines(b.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

// Record returns the first of [LogBuffer.Records], or nil.
func (b *LogBuffer) Record(message string) map[string]any {
	if found := b.Records(message); len(found) > 0 {
		return found[0]
	}
	return nil
}
