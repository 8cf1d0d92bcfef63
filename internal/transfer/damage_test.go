package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestImport_TruncatedFile(t *testing.T) {
	from := filled(t)
	text := export(t, from, tally.Scope{})
	whole := digests(t, from, tally.Scope{})
	lines := linesOf(text)
	for name, cut := range map[string][]byte{
		"after a line":  joined(lines[:len(lines)-1]),
		"within a line": text[:len(text)-len(lines[len(lines)-1])-30],
	} {
		to := open(t, secret)
		report, err := Import(context.Background(), NewStoreTarget(to, catalog(), nil), bytes.NewReader(cut), ImportOptions{})
		if !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
		if report.Topics < 7 || len(compareDigests(whole, digests(t, to, tally.Scope{}))) > 1 {
			t.Errorf("%s: %d topics were imported", name, report.Topics)
		}
	}
}

func TestImport_MissingLines(t *testing.T) {
	lines := linesOf(export(t, filled(t), tally.Scope{}))
	to := open(t, secret)
	for i, line := range lines {
		if !strings.Contains(line, "members") {
			continue
		}
		_, err := Import(context.Background(), NewStoreTarget(to, catalog(), nil),
			bytes.NewReader(joined(without(lines, i))), ImportOptions{})
		if !errors.Is(err, ErrIncomplete) {
			t.Errorf("without line %d: %v", i+1, err)
		}
	}
}

// A damaged line is refused with its number, and all other lines are imported.
func TestImport_DamagedLine(t *testing.T) {
	from := filled(t)
	whole := digests(t, from, tally.Scope{})
	lines := linesOf(export(t, from, tally.Scope{}))
	damages := []func(line string) string{
		func(string) string { return "{broken" },
		func(string) string { return strings.Repeat("x", 3<<20) },
		func(line string) string { return strings.Replace(line, `"version":`, `"version":"x`, 1) },
	}
	for i, line := range lines {
		if !strings.Contains(line, "members") {
			continue
		}
		damaged := slices.Clone(lines)
		damaged[i] = damages[i%len(damages)](line)
		to := open(t, secret)
		report := imported(t, to, joined(damaged), ImportOptions{})
		if report.Refused != 1 || report.Refusals[0].Line != int64(i+1) || report.Refusals[0].Reason == "" {
			t.Errorf("line %d: it reports %+v", i+1, report)
		}
		lost := compareDigests(whole, digests(t, to, tally.Scope{}))
		if len(lost) != 1 || !strings.Contains(line, fmt.Sprintf("%q", lost[0].Topic)) {
			t.Errorf("line %d: the target lacks %v", i+1, lost)
		}
	}
}

// If the first line of a topic is damaged, its next line replaces the target's topic.
func TestImport_ReplaceWithDamagedFirstLine(t *testing.T) {
	from := filled(t)
	lines := linesOf(export(t, from, tally.Scope{Site: "blog", Metric: "likes", Prefix: "hello"}))
	for i, line := range lines {
		if !strings.Contains(line, `"first":true`) {
			continue
		}
		to := open(t, secret)
		contribute(t, to, "blog/likes/hello", 5000, 10, 1) // which the import replaces
		damaged := slices.Clone(lines)
		damaged[i] = line[:len(line)/2]
		imported(t, to, joined(damaged), ImportOptions{Replace: true})
		if got := digests(t, to, tally.Scope{})[topic(t, "blog/likes/hello")].Contributions; got != 1500 {
			t.Errorf("%d contributions, want 1500", got)
		}
		return
	}
	t.Fatal("no line has \"first\"")
}

func TestImport_InvalidLines(t *testing.T) {
	header, _, _ := strings.Cut(string(export(t, open(t, secret), tally.Scope{})), "\n")
	text, reasons := []string{header}, []string{""}
	for line, reason := range map[string]string{
		`{"topic":"blog/likes","rule":"toggle","counted":0}`:                                                                "site/metric/key",
		`{"topic":"blog/likes/a//b","rule":"toggle","counted":0}`:                                                           "segment",
		`{"topic":"blog/nothing/x","rule":"toggle","counted":0}`:                                                            "--metric nothing=toggle",
		`{"topic":"blog/readers/x","rule":"presence","counted":0}`:                                                          "open pages",
		`{"topic":"blog/views/x","rule":"toggle","counted":0}`:                                                              "window:30m",
		`{"topic":"blog/likes/x","rule":"window:1h","counted":0}`:                                                           "had window:1h",
		`{"topic":"blog/likes/x","rule":"unknown","counted":0}`:                                                             "is not a rule",
		`{"topic":"blog/likes/x","rule":"amount:5","members":"0000000000000001","amounts":[2],"counted":2}`:                 "at most 1",
		`{"topic":"blog/likes/x","rule":"toggle","members":"000000000000000","counted":0}`:                                  "multiple of 16",
		`{"topic":"blog/likes/x","rule":"toggle","members":"000000000000000g","counted":0}`:                                 "hex digits",
		`{"topic":"blog/likes/x","rule":"toggle","members":"0000000000000000","counted":0}`:                                 "not all 0",
		`{"topic":"blog/claps/x","rule":"amount:50","members":"0000000000000001","amounts":[],"counted":0}`:                 "0 amounts",
		`{"topic":"blog/claps/x","rule":"amount:50","members":"0000000000000001","amounts":[0],"counted":0}`:                "is 0",
		`{"topic":"blog/likes/x","rule":"toggle","seed":-1,"counted":0}`:                                                    "seed is -1",
		`{"topic":"blog/likes/x","rule":"toggle","seed":9007199254740992,"counted":0}`:                                      "should be from 0 to",
		`{"topic":"blog/likes/x","rule":"toggle","count":1e400,"counted":0}`:                                                "an export: count is number 1e400",
		`{"topic":"blog/likes/x","rule":"toggle","counted":-5}`:                                                             "counted is -5",
		`{"topic":"blog/likes/x","rule":"toggle","members":"` + strings.Repeat("0000000000000001", 1001) + `","counted":0}`: "at most 1000",
		`{"order":"former blog/likes","value":"[]"}`:                                                                        "site/metric/key",
		`{"order":"former blog/likes/x","value":"{}"}`:                                                                      "aliases of",
		`{"order":"merging blog/likes/x","value":"[]"}`:                                                                     "not known",
		`[]`:                  "an export: it is array",
		`"text"`:              "an export: it is string",
		`{"order":5}`:         "an export: order is number",
		`{"total":{}`:         "an export: unexpected end of JSON input",
		`{"topic":{"a":"b"}}`: "an export: topic is object",
		`{"topic":"blog/likes/x","rule":"toggle","adjustment":9007199254740991,"first":true,"counted":0}`: "whole numbers from 0",
	} {
		text, reasons = append(text, line), append(reasons, reason)
	}
	text = append(text, `{"topic":"blog/likes/after","rule":"toggle","count":1,"version":5,"first":true,"members":"00000000000000ff","counted":1}`, `{"total":{"topics":1,"contributions":1}}`)
	to := open(t, secret)
	report := imported(t, to, joined(text), ImportOptions{})
	if int(report.Refused) != len(reasons)-1 {
		t.Errorf("%d of %d lines are refused", report.Refused, len(reasons)-1)
	}
	if want := (Totals{Topics: 1, Contributions: 1}); report.Totals != want {
		t.Errorf("stored %+v, want %+v", report.Totals, want)
	}
	said := map[int64]string{}
	for _, r := range report.Refusals {
		said[r.Line] = r.Reason
	}
	for i, reason := range reasons {
		if !strings.Contains(said[int64(i+1)], reason) {
			t.Errorf("%.120s: %q, want %q", text[i], said[int64(i+1)], reason)
		}
	}
	if found := digests(t, to, tally.Scope{}); len(found) != 1 || found[topic(t, "blog/likes/after")].Count != 1 {
		t.Errorf("the target has %v", found)
	}
}

func TestImport_InvalidHeader(t *testing.T) {
	to := open(t, secret)
	for text, reason := range map[string]string{
		"": "header", "topic,count\n": "header", "{}\n": "header", strings.Repeat("x", 3<<20): "header",
		`{"tallycast":"export"}` + "\n":                              "lacks the number",
		`{"tallycast":"export","format":2,"fingerprint":"x"}` + "\n": "format 2",
	} {
		_, err := Import(context.Background(), NewStoreTarget(to, catalog(), nil), strings.NewReader(text), ImportOptions{})
		if tally.AsError(err).Code != tally.CodeBadBody || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: %v, want %q", text, err, reason)
		}
	}
}

func TestImport_FieldsOfLaterVersions(t *testing.T) {
	from, to := filled(t), open(t, secret)
	lines := linesOf(export(t, from, tally.Scope{}))
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "}") + `,"later":{"x":[1,2]}}`
	}
	lines = append(lines[:2], append([]string{`{"later":"a kind of line"}`, ""}, lines[2:]...)...)
	if report := imported(t, to, joined(lines), ImportOptions{}); report.Refused != 0 {
		t.Errorf("it refuses %+v", report)
	}
	same(t, from, to)
}

func TestImport_WindowsLineEnds(t *testing.T) {
	from, to := filled(t), open(t, secret)
	imported(t, to, []byte(strings.Join(linesOf(export(t, from, tally.Scope{})), "\r\n")+"\r\n"), ImportOptions{})
	same(t, from, to)
}

// failing is a store whose Restore fails after some calls.
type failing struct {
	TargetStore
	left int
}

var errGone = errors.New("the store failed")

func (f *failing) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	if f.left--; f.left < 0 {
		return errGone
	}
	return f.TargetStore.Restore(ctx, replace, portions)
}

// An import that failed within a topic can be repeated.
func TestImport_AgainAfterFailure(t *testing.T) {
	for _, replace := range []bool{false, true} {
		from, to := open(t, secret), open(t, secret)
		large := portions{}
		for i := range 12 { // more than a batch
			p := tally.Portion{State: tally.State{Change: tally.Change{Topic: topic(t, "blog/likes/first"), Version: 5}}, First: i == 0, Last: i == 11}
			for n := range 1000 {
				p.Contributions = append(p.Contributions, tally.Contribution{Member: tally.Member(uint64(i*1000+n+1) * 0x9e3779b97f4a7c15), Amount: 1})
			}
			large = append(large, p)
		}
		if err := from.Restore(t.Context(), false, large); err != nil {
			t.Fatal(err)
		}
		edit(t, from, "blog/likes/page", tally.EditSeed, 7)
		text := export(t, from, tally.Scope{})
		options := ImportOptions{Replace: replace}
		report, err := Import(t.Context(), NewStoreTarget(&failing{to, 1}, catalog(), nil), bytes.NewReader(text), options)
		if !errors.Is(err, errGone) || report.Contributions != 10_000 {
			t.Fatalf("%+v, %v", report, err)
		}
		if report := imported(t, to, text, options); report.Topics != 2 || report.Contributions != 12_000 {
			t.Errorf("again: %+v", report)
		}
		same(t, from, to)
	}
}

// away is a store that cannot be reached for some calls.
type away struct {
	TargetStore
	refusals int
}

func (a *away) Restore(ctx context.Context, replace bool, portions []tally.Portion) error {
	if a.refusals > 0 {
		a.refusals--
		return tally.Unavailable(errGone)
	}
	return a.TargetStore.Restore(ctx, replace, portions)
}

func TestImport_RetryWhileStoreIsAway(t *testing.T) {
	from, to := filled(t), open(t, secret)
	text := export(t, from, tally.Scope{})
	imported(t, &away{to, 2}, text, ImportOptions{RetryFor: time.Minute})
	same(t, from, to)
	_, err := Import(context.Background(), NewStoreTarget(&away{to, 2}, catalog(), nil), bytes.NewReader(text), ImportOptions{})
	if tally.AsError(err).Code != tally.CodeStoreUnavailable {
		t.Errorf("without retries: %v", err)
	}
}

// unmarkable is a store that fails to set marks.
type unmarkable struct{ TargetStore }

func (unmarkable) SwapMark(context.Context, tally.Topic, string, string) (string, error) {
	return "", tally.Unavailable(errGone)
}

// A report has the aliases that were stored although the marks of their topics failed, so that
// they are in the audit log.
func TestImport_AliasesWithoutMarks(t *testing.T) {
	text := export(t, filled(t), tally.Scope{})
	report, err := Import(t.Context(), NewStoreTarget(unmarkable{open(t, secret)}, catalog(), nil), bytes.NewReader(text), ImportOptions{})
	if tally.AsError(err).Code != tally.CodeStoreUnavailable || report.Settings != 2 || report.Topics > 0 || !report.Sites["blog"] {
		t.Errorf("%+v, error %v", report, err)
	}
}

// A report has the settings that were stored before an error, so that they are in the audit log.
func TestImport_SettingsBeforeError(t *testing.T) {
	from := filled(t)
	if err := tally.SetSetting(t.Context(), from, "block range 203.0.113.0/24", "x"); err != nil {
		t.Fatal(err)
	}
	text := export(t, from, tally.Scope{})
	report, err := Import(t.Context(), NewStoreTarget(&away{open(t, secret), 1}, catalog(), nil), bytes.NewReader(text), ImportOptions{})
	if err == nil || report.Settings == 0 || report.Topics > 0 {
		t.Errorf("%+v, error %v", report, err)
	}
}
