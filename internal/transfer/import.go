package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// ErrIncomplete says that an export lacks its end, or lines before it. What it has was
// imported.
var ErrIncomplete = errors.New("the export is incomplete")

// ErrSecret says that an export was made under another secret.
var ErrSecret = errors.New("the export was made under another secret, under which alone its contributions mean anything")

const (
	// A batch is what is stored at once, and what a crash makes to be stored again:
	// some hundred KiB, below what one call to a service may carry, unless all of its
	// portions are full.
	batchContributions = 10_000
	batchLines         = 500
	// maxRefusals is how many refusals a report keeps.
	maxRefusals = 100
	// minBackoff is the first time between two attempts to reach a store; it doubles up to
	// maxPause.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// Refusal is what was not imported.
type Refusal struct {
	Line   int64  `json:"line"` // or the number of the entry, where there are no lines
	Reason string `json:"reason"`
}

func (r Refusal) String() string { return fmt.Sprintf("line %d: %s", r.Line, r.Reason) }

// Report says what an import did, what an earlier one did before a crash included.
type Report struct {
	Topics        int64     `json:"topics"` // whose last line was stored
	Contributions int64     `json:"contributions"`
	Settings      int64     `json:"orders"`   // former names and blocks
	Refused       int64     `json:"refused"`  // how many lines
	Refusals      []Refusal `json:"refusals"` // the first of them
}

// ImportOptions are the options of [Import]; the zero value merges a whole export.
type ImportOptions struct {
	// Fingerprint is that of the store's secret; empty where the target compares.
	Fingerprint string
	// Replace puts what is imported in the place of what was there, topic by topic.
	Replace bool
	// Part says that the input is a piece of an export: a header and some of its lines,
	// maybe of a topic that began in the piece before.
	Part bool
	// RetryFor is how long to try again while the store cannot be reached.
	RetryFor time.Duration
	// OnRefusal, where not nil, is told each refusal.
	OnRefusal func(Refusal)
	// OnProgress, where not nil, is called after each batch.
	OnProgress func(Progress)
}

// Import stores an export in target. What cannot be read is refused and the rest
// imported; see [Report]. It may be repeated, and several may go on at once.
// Errors: [ErrIncomplete], [ErrSecret], [tally.CodeBadBody] for what is no export, those of
// target and of r.
func Import(ctx context.Context, target Target, r io.Reader, options ImportOptions) (Report, error) {
	i := &importRun{target: target, options: options, lines: newLines(r), report: Report{Refusals: []Refusal{}}}
	if err := i.begin(ctx); err != nil {
		return i.report, err
	}
	if err := i.readAll(ctx); err != nil {
		return i.report, err
	}
	return i.report, i.checkComplete()
}

// importRun is an import under way.
type importRun struct {
	target  Target
	options ImportOptions
	lines   *lines
	report  Report

	batch         []Line
	contributions int         // of the batch
	topic         tally.Topic // whose lines are being read; the zero Topic between two
	counted       Totals      // what was read, refused or not
	total         *Totals     // what the last line says
}

// begin reads and checks the header.
func (i *importRun) begin(ctx context.Context) error {
	text, err := i.lines.next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errTooLong) {
		return err
	}
	header, err := readHeader(text)
	if err != nil {
		return err
	}
	if f := i.options.Fingerprint; f != "" && header.Fingerprint != f {
		return &tally.Error{Code: tally.CodeBadBody, Err: ErrSecret, Message: fmt.Sprintf(
			"the export was made under the secret with the fingerprint %.64q, the store has the one with %q: visitors would not be known again", header.Fingerprint, f)}
	}
	return i.retry(ctx, func() error { return i.target.Begin(ctx, header) })
}

// readAll reads the lines and stores them batch by batch.
func (i *importRun) readAll(ctx context.Context) error {
	for {
		text, err := i.lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return i.flush(ctx)
		case errors.Is(err, errTooLong):
			i.refuse(i.lines.number, err.Error())
			continue
		case err != nil:
			return errors.Join(fmt.Errorf("read the export: %w", err), i.flush(ctx))
		}
		if err := i.readLine(ctx, text); err != nil {
			return err
		}
		if len(i.batch) >= batchLines || i.contributions >= batchContributions {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// readLine reads a line.
func (i *importRun) readLine(ctx context.Context, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		why := "it is no JSON object of an export: " + err.Error()
		if !i.lines.ended {
			why = "it was cut off"
		}
		i.refuse(i.lines.number, why)
		return nil
	}
	switch {
	case r.Total != nil:
		i.total = r.Total
	case r.Setting != "":
		if err := validateSetting(r.Setting, r.Value); err != nil {
			i.refuse(i.lines.number, err.Error())
			return nil
		}
		return i.order(ctx, r.Setting, r.Value)
	case r.Topic != "":
		line, err := r.portion()
		if err != nil {
			i.refuse(i.lines.number, err.Error())
			return nil
		}
		line.Number = i.lines.number
		i.add(line)
	}
	return nil // what later versions add is left alone
}

// add appends a line to the batch. Where the first line of a topic is lost, the first
// that is not takes its place.
func (i *importRun) add(line Line) {
	if line.Topic != i.topic {
		line.First = line.First || !i.options.Part
		i.topic = line.Topic
	}
	if line.Last {
		i.topic = tally.Topic{}
		i.counted.Topics++
	}
	i.counted.Contributions += int64(len(line.Contributions))
	i.batch = append(i.batch, line)
	i.contributions += len(line.Contributions)
}

func (i *importRun) order(ctx context.Context, name, value string) error {
	err := i.retry(ctx, func() error { return i.target.SetSetting(ctx, name, value) })
	if err != nil {
		return fmt.Errorf("store what was ordered: %w", err)
	}
	i.report.Settings++
	return nil
}

// flush stores the batch, and notes that it did.
func (i *importRun) flush(ctx context.Context) error {
	if len(i.batch) > 0 {
		var refused []Refusal
		err := i.retry(ctx, func() (err error) {
			refused, err = i.target.Store(ctx, i.options.Replace, i.batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("store lines %d to %d: %w", i.batch[0].Number, i.batch[len(i.batch)-1].Number, err)
		}
		i.recordStored(refused)
	}
	i.batch, i.contributions = i.batch[:0], 0
	if i.options.OnProgress != nil {
		i.options.OnProgress(Progress{Totals: Totals{i.report.Topics, i.report.Contributions}, Bytes: i.lines.offset})
	}
	return nil
}

// recordStored counts the batch, which was stored save for what was refused.
func (i *importRun) recordStored(refused []Refusal) {
	left := map[int64]bool{}
	for _, each := range refused {
		left[each.Line] = true
		i.refuse(each.Line, each.Reason)
	}
	for _, line := range i.batch {
		if left[line.Number] {
			continue
		}
		if line.Last {
			i.report.Topics++
		}
		i.report.Contributions += int64(len(line.Contributions))
	}
}

func (i *importRun) refuse(line int64, reason string) {
	r := Refusal{Line: line, Reason: reason}
	if i.report.Refused++; len(i.report.Refusals) < maxRefusals {
		i.report.Refusals = append(i.report.Refusals, r)
	}
	if i.options.OnRefusal != nil {
		i.options.OnRefusal(r)
	}
}

// retry does what may be repeated again while the store cannot be reached, as long
// as the patience lasts.
func (i *importRun) retry(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(i.options.RetryFor)
	for wait := minBackoff; ; wait = min(2*wait, maxBackoff) {
		err := do()
		var e *tally.Error
		if !errors.As(err, &e) || e.Code != tally.CodeStoreUnavailable || time.Now().Add(wait).After(deadline) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// checkComplete tells whether all that was exported was read.
func (i *importRun) checkComplete() error {
	switch {
	case i.options.Part:
		return nil
	case i.total == nil:
		return fmt.Errorf("%w: its last line is missing, so it was cut off after line %d", ErrIncomplete, i.lines.number)
	case *i.total != i.counted && i.report.Refused == 0:
		return fmt.Errorf("%w: it was made with %s and %s, and has %d and %d",
			ErrIncomplete, tally.Quantity(int(i.total.Topics), "topic"), tally.Quantity(int(i.total.Contributions), "contribution"), i.counted.Topics, i.counted.Contributions)
	}
	return nil
}
