package transfer

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// merging is a store in which a merge begins or ends during a dump.
type merging struct {
	*sqlitestore.Store
	during func()
}

func (m merging) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	m.during()
	return m.Store.Dump(ctx, scope, each)
}

// An export fails while topics are merged, since both topics hold the same contributions.
func TestExport_DuringMerge(t *testing.T) {
	set := func(t *testing.T, s *sqlitestore.Store, name, value string) {
		t.Helper()
		if err := tally.SetSetting(context.Background(), s, name, value); err != nil {
			t.Fatal(err)
		}
	}
	claim := tally.ClaimSetting(topic(t, "blog/likes/hello"))
	for name, test := range map[string]struct {
		before, during func(s *sqlitestore.Store)
		refused        bool
	}{
		"no merge":              {nil, func(*sqlitestore.Store) {}, false},
		"a merge is under way":  {func(s *sqlitestore.Store) { set(t, s, claim, "x") }, func(*sqlitestore.Store) {}, true},
		"one begins":            {nil, func(s *sqlitestore.Store) { set(t, s, claim, "x") }, true},
		"one begins and ends":   {nil, func(s *sqlitestore.Store) { set(t, s, "alias mark blog/likes/hello", "another") }, true},
		"something else is set": {nil, func(s *sqlitestore.Store) { set(t, s, "block range 192.0.2.0/24", "spam") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := filled(t)
			if test.before != nil {
				test.before(s)
			}
			source := merging{s, func() { test.during(s) }}
			err := Export(context.Background(), source, catalog(), NewHeader(secret, false, time.Now()), tally.Scope{}, io.Discard)
			if (err != nil) != test.refused {
				t.Errorf("export: %v", err)
			}
		})
	}
}
