package transfer

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secret = []byte("a secret of the tests' own, 32 b")
	other  = []byte("another secret of the tests, 32b")
)

func catalog() *tally.Catalog {
	metrics := tally.DefaultMetrics()
	// So long that no window ends during a test.
	metrics["days"] = tally.Rule{Kind: tally.Window, Max: 1, Window: 24 * time.Hour}
	return tally.NewCatalog([]string{"blog"}, metrics)
}

// open opens an SQLite store of its own under secret.
func open(t testing.TB, secret []byte) *sqlitestore.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "tallycast.db"), secret)
}

func openAt(t testing.TB, path string, secret []byte) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func topic(t testing.TB, text string) tally.Topic {
	t.Helper()
	topic, err := tally.ParseTopic(text)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

// contribute makes n members contribute amount, beginning with the first.
func contribute(t testing.TB, s *sqlitestore.Store, name string, first, n int, amount int64) {
	t.Helper()
	for n > 0 {
		mark, err := s.SwapMark(context.Background(), topic(t, name), "", "")
		if err != nil {
			t.Fatal(err)
		}
		batch := tally.Batch{Topic: topic(t, name), Mark: mark}
		for ; n > 0 && len(batch.Writes) < tally.MaxBatchWrites; n-- {
			// Spread like hashes.
			member := tally.Member(uint64(first+n) * 0x9e3779b97f4a7c15)
			batch.Writes = append(batch.Writes, tally.Write{Member: member, Amount: amount, MayCreate: true})
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		batches := []tally.Batch{batch}
		s.Apply(ctx, batches)
		cancel()
		if batches[0].Err != nil {
			t.Fatal(batches[0].Err)
		}
	}
}

func edit(t testing.TB, s *sqlitestore.Store, name string, kind tally.EditKind, value int64) {
	t.Helper()
	edits := []tally.Edit{{Topic: topic(t, name), Kind: kind, Value: value}}
	s.Edit(context.Background(), edits)
	if edits[0].Err != nil {
		t.Fatal(edits[0].Err)
	}
}

// filled returns a store with all kinds of topics and settings.
func filled(t testing.TB) *sqlitestore.Store {
	t.Helper()
	s := open(t, secret)
	contribute(t, s, "blog/likes/hello", 0, 2500, 1)
	contribute(t, s, "blog/likes/grüße/日本", 0, 3, 1)
	contribute(t, s, "blog/claps/hello", 0, 1000, 1)
	contribute(t, s, "blog/claps/hello", 500, 700, 37)
	contribute(t, s, "blog/visitors/site", 0, 12, 1)
	contribute(t, s, "blog/days/hello", 0, 5, 1)
	contribute(t, s, "default/likes/with \"quotes\", and commas", 0, 1, 1)
	edit(t, s, "blog/likes/hello", tally.EditSeed, 40)
	edit(t, s, "blog/likes/hello", tally.EditAdjustment, -7)
	edit(t, s, "blog/days/hello", tally.EditAdjustment, 100)
	edit(t, s, "blog/likes/seeded", tally.EditSeed, 9)
	edit(t, s, "blog/likes/zero", tally.EditSeed, 0)
	name, value := tally.AliasSetting(topic(t, "blog/likes/hello"), []tally.Topic{topic(t, "blog/likes/old")})
	for name, value := range map[string]string{name: value, "block range 203.0.113.0/24": "spam", "merging blog/likes/x": "of the store alone"} {
		if err := tally.SetSetting(context.Background(), s, name, value); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func export(t testing.TB, s *sqlitestore.Store, scope tally.Scope) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Export(context.Background(), s, catalog(), NewHeader(secret, false, time.Now()), scope, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// fingerprint returns the fingerprint of the tests' secret.
func fingerprint() string { return tally.NewHasher(secret).Fingerprint() }

func imported(t testing.TB, s TargetStore, text []byte, options ImportOptions) Report {
	t.Helper()
	report, err := Import(context.Background(), NewStoreTarget(s, catalog(), nil), bytes.NewReader(text), options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func digests(t testing.TB, s Source, scope tally.Scope) map[tally.Topic]digest {
	t.Helper()
	found, err := readDigests(context.Background(), s, catalog(), scope, func(Totals) {})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same fails t unless a and b hold the same topics in the same states.
func same(t testing.TB, a, b Source) {
	t.Helper()
	x, y := digests(t, a, tally.Scope{}), digests(t, b, tally.Scope{})
	for _, d := range compareDigests(x, y) {
		t.Errorf("%s: %s", d.Topic, d.Detail)
	}
	for _, d := range compareDigests(y, x) {
		t.Errorf("only in the second store: %s: %s", d.Topic, d.Detail)
	}
}

func settings(t testing.TB, s TargetStore) map[string]string {
	t.Helper()
	entries, err := s.Settings(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestImport_WholeExport(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %t", replace), func(t *testing.T) {
			from, to := filled(t), open(t, secret)
			text := export(t, from, tally.Scope{})
			report := imported(t, to, text, ImportOptions{Replace: replace})
			same(t, from, to)
			if report.Topics != 8 || report.Contributions != 2500+3+1200+12+5+1 || report.Settings != 2 || report.Refused != 0 {
				t.Errorf("the report is %+v", report)
			}
			entries := settings(t, to)
			if len(entries) != 3 || entries["alias mark blog/likes/hello"] == "" || entries["block range 203.0.113.0/24"] != "spam" || entries["former blog/likes/hello"] != `["blog/likes/old"]` {
				t.Errorf("the settings are %v", entries)
			}
			// Their visitors are recognised, those of window metrics too.
			contribute(t, to, "blog/likes/hello", 0, 2500, 1)
			contribute(t, to, "blog/days/hello", 0, 5, 1)
			same(t, from, to)
		})
	}
}

func TestImport_Repeated(t *testing.T) {
	from, to := filled(t), open(t, secret)
	text := export(t, from, tally.Scope{})
	imported(t, to, text, ImportOptions{})
	imported(t, to, text, ImportOptions{})
	imported(t, to, text, ImportOptions{Replace: true})
	same(t, from, to)
}

func TestImport_Concurrent(t *testing.T) {
	from, to := filled(t), open(t, secret)
	text := export(t, from, tally.Scope{})
	done := make(chan error, 2)
	for range 2 {
		go func() { // ends with the import; both are received from
			_, err := Import(context.Background(), NewStoreTarget(to, catalog(), nil), bytes.NewReader(text), ImportOptions{})
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	same(t, from, to)
}

func TestImport_Modes(t *testing.T) {
	const name = "blog/likes/hello"
	from := open(t, secret)
	contribute(t, from, name, 0, 10, 1)
	text := export(t, from, tally.Scope{})
	for replace, want := range map[bool]int64{false: 15, true: 10} {
		to := open(t, secret)
		contribute(t, to, name, 5, 10, 1) // five of them the same
		contribute(t, to, "blog/likes/untouched", 0, 1, 1)
		imported(t, to, text, ImportOptions{Replace: replace})
		found := digests(t, to, tally.Scope{})
		if got := found[topic(t, name)].Count; got != want {
			t.Errorf("replace %t: the count is %d, want %d", replace, got, want)
		}
		if got := found[topic(t, "blog/likes/untouched")].Count; got != 1 {
			t.Errorf("replace %t: a topic that the export lacks has count %d", replace, got)
		}
	}
}

func TestExport_Scope(t *testing.T) {
	from, to := filled(t), open(t, secret)
	imported(t, to, export(t, from, tally.Scope{Site: "blog", Metric: "likes", Prefix: "hel"}), ImportOptions{})
	found := digests(t, to, tally.Scope{})
	if len(found) != 1 || found[topic(t, "blog/likes/hello")].Count != 2533 {
		t.Errorf("it has %v", found)
	}
	if entries := settings(t, to); len(entries) != 2 || entries["former blog/likes/hello"] == "" { // and its mark
		t.Errorf("the settings are %v", entries)
	}
}

func TestImport_OtherSecret(t *testing.T) {
	text := export(t, filled(t), tally.Scope{})
	to := open(t, other)
	_, err := Import(context.Background(), NewStoreTarget(to, catalog(), nil), bytes.NewReader(text), ImportOptions{})
	if tally.AsError(err).Code != tally.CodeBadBody || !strings.Contains(err.Error(), fingerprint()) {
		t.Errorf("the import succeeded: %v", err)
	}
	if found := digests(t, to, tally.Scope{}); len(found) > 0 {
		t.Errorf("it was imported: %v", found)
	}
}

func TestExport_Secret(t *testing.T) {
	s := open(t, secret)
	for _, with := range []bool{false, true} {
		var out bytes.Buffer
		header := NewHeader(secret, with, time.Now())
		if err := Export(context.Background(), s, catalog(), header, tally.Scope{}, &out); err != nil {
			t.Fatal(err)
		}
		read, err := ReadHeader(&out)
		if err != nil {
			t.Fatal(err)
		}
		if has := bytes.Equal(read.Secret, secret); has != with || read.Fingerprint != fingerprint() {
			t.Errorf("with the secret %t: %+v", with, read)
		}
	}
}

func TestExport_LargeTopic(t *testing.T) {
	text := export(t, filled(t), tally.Scope{Site: "blog", Metric: "likes", Prefix: "hello"})
	var topics []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, `{"topic":`) {
			topics = append(topics, line)
		}
		if len(line) > 20_000 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	if len(topics) != 3 || !strings.Contains(topics[0], `"first":true`) || !strings.Contains(topics[2], `"counted":2500`) {
		t.Errorf("there are %d lines", len(topics))
	}
}

// linesOf returns the lines of text without their ends.
func linesOf(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func joined(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// without returns lines but the i-th.
func without(lines []string, i int) []string { return slices.Delete(slices.Clone(lines), i, i+1) }

// losing is a store that loses the last contribution of each portion of claps.
type losing struct{ *sqlitestore.Store }

func (l *losing) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	for i, p := range portions {
		if p.Topic.Metric() == "claps" {
			portions[i].Contributions = p.Contributions[1:]
		}
	}
	return l.Store.Restore(ctx, replace, portions)
}
