package sqlitestore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
)

func TestLock_KillHint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tally.db")
	c := start(t, roleHold, path)
	if line := c.line(); line != "open" {
		t.Fatal(line)
	}
	refused := func() string {
		t.Helper()
		_, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
		if err == nil {
			t.Fatal("two stores hold one file")
		}
		return err.Error()
	}
	if said, want := refused(), fmt.Sprintf("(kill %d ends it)", c.Process.Pid); !strings.Contains(said, want) {
		t.Errorf("%q is not in: %s", want, said)
	}
	c.kill()
	open(t, path, catalog(), sqlitestore.Options{})
	if said := refused(); strings.Contains(said, "kill") {
		t.Errorf("the hint names this process: %s", said)
	}
}
