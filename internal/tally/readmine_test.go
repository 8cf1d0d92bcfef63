package tally_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// aliasFailing is a store that fails to read the contribution under an alias.
type aliasFailing struct{ *slowStore }

func (aliasFailing) Read(_ context.Context, queries []tally.Query) []tally.Reading {
	readings := make([]tally.Reading, len(queries))
	for i := range readings[1:] {
		readings[1+i].Err = tally.Unavailable(errors.New("the node is away"))
	}
	return readings
}

// Without the contribution under an alias, the contribution is unknown, not 0.
func TestRead_AliasFails(t *testing.T) {
	store := newSlowStore(0)
	service := newService(aliasFailing{store})
	topic, err := service.Catalog().Resolve("blog/likes/a")
	if err != nil {
		t.Fatal(err)
	}
	names := tally.AliasSettings(topic)
	store.stored = map[string]string{names[0]: `["blog/likes/old"]`, names[1]: "mark-1"}
	readings, err := service.Read(t.Context(), []tally.Topic{topic}, "visitor-1")
	if err != nil {
		t.Fatal(err)
	}
	if readings[0].Err == nil {
		t.Error("the reading has no error")
	}
}
