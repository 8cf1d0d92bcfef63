package transfer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// ErrIncomplete is the error of an export without its last line, or without other lines. Its lines were
// imported.
var ErrIncomplete = errors.New("the export is incomplete")

const (
	// batchContributions, batchSettings (bytes) and batchLines bound what is stored at once:
	// some hundred KiB, less than the body of a request may have.
	batchContributions = 10_000
	batchSettings      = 256 << 10
	batchLines         = 500
	// maxRefusals bounds the refusals in a report: more than a part of an export has lines. In
	// another file, each line may be refused.
	maxRefusals = 10_000
	// minBackoff is the first pause before another attempt to reach a store. It doubles
	// up to maxBackoff.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// Refusal is a line that was not imported.
type Refusal struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
}

func (r Refusal) String() string { return fmt.Sprintf("line %d: %s", r.Line, r.Reason) }

// Report is the result of an import.
type Report struct {
	Totals             // of the lines that were stored
	Settings int64     `json:"orders"`   // aliases and blocks
	Refused  int64     `json:"refused"`  // number of lines
	Refusals []Refusal `json:"refusals"` // the first of them

	// Sites are the sites of the lines that were stored; "" for a block in all sites.
	Sites map[string]bool `json:"-"`
}

// ImportOptions are the options of [Import]. The zero value merges a whole export.
type ImportOptions struct {
	// Replace replaces each topic instead of merging it.
	Replace bool
	// Part marks the input as a part of an export: a header and some lines, possibly of a
	// topic that began in the part before.
	Part bool
	// RetryFor is how long a store that cannot be reached is tried again.
	RetryFor time.Duration
	// OnRefusal is called for each refusal; may be nil.
	OnRefusal func(Refusal)
	// OnProgress is called after each batch; may be nil.
	OnProgress func(Totals)
}

// Import stores an export in target. It refuses lines that it cannot read and imports the
// others; see [Report]. An import can be repeated, and several can run at once.
// Errors: [ErrIncomplete], [tally.CodeBadBody] for a file that is not an export or belongs to
// another secret, those of target and of r.
func Import(ctx context.Context, target Target, r io.Reader, options ImportOptions) (Report, error) {
	i := &importRun{target: target, options: options, lines: newLines(r), report: Report{Refusals: []Refusal{}, Sites: map[string]bool{}}}
	header, err := i.lines.header()
	if err == nil {
		err = i.retry(ctx, func() error { return target.Begin(ctx, header) })
	}
	if err == nil {
		err = i.readAll(ctx)
	}
	if err == nil {
		err = i.checkComplete()
	}
	return i.report, err
}

// importRun is a running import.
type importRun struct {
	target  Target
	options ImportOptions
	lines   *lines
	report  Report

	batch         Batch
	contributions int         // of the batch
	settings      int         // bytes of the settings of the batch
	topic         tally.Topic // whose lines are being read; zero between two topics
	read          Totals      // of all lines, refused or not
	total         *Totals     // that the last line states
}

// readAll reads the lines and stores them in batches.
func (i *importRun) readAll(ctx context.Context) error {
	for {
		text, err := i.lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return i.flush(ctx)
		case errors.Is(err, errTooLong):
			i.refuse(i.lines.number, err)
			continue
		case err != nil:
			return errors.Join(fmt.Errorf("read the export: %w", err), i.flush(ctx))
		}
		i.readLine(text)
		if len(i.batch.Lines)+len(i.batch.Settings) >= batchLines || i.contributions >= batchContributions || i.settings >= batchSettings {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// readLine adds a line to the batch, or refuses it. It ignores unknown kinds of lines, which later
// versions may add.
func (i *importRun) readLine(text []byte) {
	if len(text) == 0 {
		return
	}
	var r record
	err := json.Unmarshal(text, &r)
	switch {
	case err != nil:
		err = fmt.Errorf("it is not a JSON object of an export: %w", withoutGoNames(err))
	case r.Total != nil:
		i.total = r.Total
	case r.Setting != "":
		if err = validateSetting(r.Setting, r.Value); err == nil {
			i.batch.Settings = append(i.batch.Settings, Setting{r.Setting, r.Value, i.lines.number})
			i.settings += len(r.Setting) + len(r.Value)
		}
	case r.Topic != "":
		var line Line
		if line, err = r.line(); err == nil {
			line.Number = i.lines.number
			i.add(line)
		}
	}
	if err != nil {
		i.refuse(i.lines.number, err)
	}
}

// withoutGoNames returns the error of a JSON value without names of Go types.
func withoutGoNames(err error) error {
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		_, field, _ := strings.Cut(mismatch.Field, ".") // after the name of the struct embedded in record
		return fmt.Errorf("%s is %s", cmp.Or(field, "it"), mismatch.Value)
	}
	return err
}

// add appends a portion to the batch. If the first line of a topic was refused, its next line becomes the
// first.
func (i *importRun) add(line Line) {
	if line.Topic != i.topic {
		line.First = line.First || !i.options.Part
		i.topic = line.Topic
	}
	if line.Last {
		i.topic = tally.Topic{}
	}
	i.read.add(line.Portion)
	i.batch.Lines = append(i.batch.Lines, line)
	i.contributions += len(line.Contributions)
}

// flush stores the batch and reports the progress. It makes one call for the settings and one for the
// portions, so that the report has the settings even if the portions cannot be stored.
func (i *importRun) flush(ctx context.Context) error {
	for _, batch := range []Batch{{Settings: i.batch.Settings}, {Lines: i.batch.Lines}} {
		if err := i.store(ctx, batch); err != nil {
			return err
		}
	}
	i.batch = Batch{i.batch.Settings[:0], i.batch.Lines[:0]}
	i.contributions, i.settings = 0, 0
	if i.options.OnProgress != nil {
		i.options.OnProgress(i.report.Totals)
	}
	return nil
}

// store stores a batch, which may be empty, and adds it to the report.
func (i *importRun) store(ctx context.Context, batch Batch) error {
	numbers := batch.LineNumbers()
	if len(numbers) == 0 {
		return nil
	}
	var refusals []Refusal
	err := i.retry(ctx, func() (err error) {
		refusals, err = i.target.Store(ctx, i.options.Replace, batch)
		return err
	})
	if err != nil {
		err = fmt.Errorf("store lines %d to %d: %w", numbers[0], numbers[len(numbers)-1], err)
	}
	if err != nil && !errors.As(err, new(unmarkedError)) {
		return err
	}
	refused := map[int64]bool{}
	for _, each := range refusals {
		refused[each.Line] = true
		i.refuse(each.Line, errors.New(each.Reason))
	}
	for _, setting := range batch.Settings {
		if !refused[setting.Number] {
			i.report.Settings++
			i.report.Sites[tally.SettingSite(setting.Name)] = true
		}
	}
	for _, line := range batch.Lines {
		if !refused[line.Number] {
			i.report.add(line.Portion)
			i.report.Sites[line.Topic.Site()] = true
		}
	}
	return err
}

func (i *importRun) refuse(line int64, reason error) {
	r := Refusal{Line: line, Reason: reason.Error()}
	if i.report.Refused++; len(i.report.Refusals) < maxRefusals {
		i.report.Refusals = append(i.report.Refusals, r)
	}
	if i.options.OnRefusal != nil {
		i.options.OnRefusal(r)
	}
}

// retry calls do again while the store cannot be reached, for up to RetryFor.
func (i *importRun) retry(ctx context.Context, do func() error) error {
	deadline := time.Now().Add(i.options.RetryFor)
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := do()
		if !tally.IsUnavailable(err) || time.Now().Add(backoff).After(deadline) {
			return err
		}
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return err
		}
	}
}

// checkComplete returns an error if lines of the export are missing.
func (i *importRun) checkComplete() error {
	switch {
	case i.options.Part:
		return nil
	case i.total == nil:
		return fmt.Errorf("%w: it ends after line %d, without the last line of an export", ErrIncomplete, i.lines.number)
	case *i.total != i.read && i.report.Refused == 0:
		return fmt.Errorf("%w: by its last line it has %s and %s, but %d and %d were read",
			ErrIncomplete, tally.Quantity(int(i.total.Topics), "topic"), tally.Quantity(int(i.total.Contributions), "contribution"), i.read.Topics, i.read.Contributions)
	}
	return nil
}
