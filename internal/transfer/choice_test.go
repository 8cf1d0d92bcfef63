package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

// chosen returns a store with topics of choice metrics, of which one has seeds only.
func chosen(t *testing.T) *sqlitestore.Store {
	t.Helper()
	s := open(t, secret)
	contribute(t, s, "blog/rating/hello", 0, 1500, 4)
	contribute(t, s, "blog/rating/hello", 700, 3, 1) // they choose otherwise
	edits := []tally.Edit{
		{Topic: topic(t, "blog/rating/hello"), Kind: tally.EditSeed, Options: "1,2,3,0,0"},
		{Topic: topic(t, "blog/rating/hello"), Kind: tally.EditAdjustment, Options: "0,0,0,-20,5"},
		{Topic: topic(t, "blog/votes/seeded"), Kind: tally.EditSeed, Options: "7,2"},
	}
	s.Edit(context.Background(), edits)
	for _, e := range edits {
		if e.Err != nil {
			t.Fatal(e.Err)
		}
	}
	return s
}

// An export of choices is imported with each option, seed and adjustment.
func TestImport_Choices(t *testing.T) {
	source := chosen(t)
	var text bytes.Buffer
	if err := Export(context.Background(), source, catalog(), Header{Tallycast: kind, Format: Format, Fingerprint: fingerprint()}, tally.Scope{}, &text); err != nil {
		t.Fatal(err)
	}
	to := open(t, secret)
	for range 2 {
		if report := imported(t, to, text.Bytes(), ImportOptions{}); report.Refused > 0 {
			t.Fatalf("refused %d lines", report.Refused)
		}
		same(t, source, to)
	}
	state, err := tally.StateOf(context.Background(), to, topic(t, "blog/rating/hello"))
	if err != nil || state.Options != "4,2,3,1477,5" || state.SeedOptions != "1,2,3,0,0" || state.AdjustmentOptions != "0,0,0,-20,5" {
		t.Errorf("imported as %+v, %v", state, err)
	}
}

func TestExportCounts_Choices(t *testing.T) {
	s := chosen(t)
	for _, c := range []struct {
		metric string
		asJSON bool
		want   string
	}{
		{"votes", false, "topic,option,count\nblog/votes/seeded,1,7\nblog/votes/seeded,2,2\n"},
		{"votes", true, "[\n{\"topic\":\"blog/votes/seeded\",\"count\":9,\"options\":[7,2]}\n]\n"},
		{"likes", false, "topic,count\n"},
		{"", false, "topic,count\nblog/rating/hello,1491\nblog/votes/seeded,9\n"},
	} {
		var out bytes.Buffer
		if err := ExportCounts(context.Background(), s, tally.Scope{Site: "blog", Metric: c.metric}, c.asJSON, &out); err != nil || out.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.metric, out.String(), err, c.want)
		}
	}
}

// Topics are in the export as in other responses.
func TestWriteCountJSON_KeyWithoutEscapes(t *testing.T) {
	var text bytes.Buffer
	out := bufio.NewWriter(&text)
	if err := errors.Join(writeCountJSON(out, tally.Change{Topic: topic(t, "blog/likes/a&b"), Count: 1}, true), out.Flush()); err != nil {
		t.Fatal(err)
	}
	if want := "[\n{\"topic\":\"blog/likes/a&b\",\"count\":1}"; text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
}
