package transfer

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// portions is a store of these portions.
type portions []tally.Portion

func (p portions) Settings(context.Context, ...string) (map[string]string, error) { return nil, nil }

func (p portions) Dump(_ context.Context, _ tally.Scope, each func(tally.Portion) error) error {
	for _, portion := range p {
		if err := each(portion); err != nil {
			return err
		}
	}
	return nil
}

// recorder is a target that keeps the lines that it receives.
type recorder struct{ lines []Line }

func (*recorder) Begin(context.Context, Header) error { return nil }

func (s *recorder) Store(_ context.Context, _ bool, batch Batch) ([]Refusal, error) {
	s.lines = append(s.lines, batch.Lines...)
	return nil, nil
}

// No input panics, and lines that were read are the same after writing and reading again.
func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"tallycast":"export","format":1,"fingerprint":"x","made":"2026-11-22T20:30:00Z"}
{"order":"former blog/likes/a","value":"[\"blog/likes/b\"]"}
{"topic":"blog/likes/a","rule":"toggle","count":2,"version":5,"seed":1,"first":true,"members":"00000000000000ff","counted":1}
{"topic":"blog/claps/a","rule":"amount:50","count":2,"version":5,"adjustment":-1,"first":true,"members":"00000000000000ff0000000000000001","amounts":[2,3]}
{"topic":"blog/claps/a","rule":"amount:50","count":2,"version":5,"until":77,"counted":4}
{"total":{"topics":1,"contributions":1}}
`))
	f.Add([]byte(`{"tallycast":"export","format":1}` + "\n\n{}\n[]\nnull"))
	f.Add([]byte("\xff\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		first := &recorder{}
		report, err := Import(context.Background(), first, bytes.NewReader(text), ImportOptions{})
		if err != nil && len(first.lines) == 0 {
			return
		}
		if report.Contributions < 0 || report.Topics > int64(len(first.lines)) {
			t.Errorf("the report is %+v for %d lines", report, len(first.lines))
		}
		again := &recorder{}
		header := NewHeader([]byte("any"), false, time.Unix(0, 0))
		if _, err := Import(context.Background(), again, bytes.NewReader(EncodePart(header, Batch{Lines: first.lines})), ImportOptions{Part: true}); err != nil {
			t.Fatal(err)
		}
		if len(again.lines) != len(first.lines) {
			t.Fatalf("%d lines became %d", len(first.lines), len(again.lines))
		}
		for i, line := range first.lines {
			line.Number = again.lines[i].Number
			if got, want := EncodePart(header, Batch{Lines: again.lines[i : i+1]}), EncodePart(header, Batch{Lines: []Line{line}}); !bytes.Equal(got, want) {
				t.Errorf("%s became %s", want, got)
			}
		}
	})
}
