package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// importRetry is how long an import retries while a store or a service is unavailable: longer than
// a failover or a restart takes.
const importRetry = time.Minute

// importExport restores an export.
func (c *importCommand) importExport(p *process) error {
	in, err := openInput(c.path)
	if err != nil {
		return err
	}
	report, err := c.restore(p, in)
	err = errors.Join(err, in.file.Close())
	if err != nil && report.Topics+report.Contributions+report.Refused == 0 {
		return err
	}
	verb := "imported"
	if c.dry {
		verb = "would be imported"
	}
	fmt.Fprintf(p.stdout, "%s %s; %s refused.\n", totalsText(report.Totals), verb, counted(report.Refused, "line"))
	if err == nil && report.Refused > 0 {
		err = exitStatus(exitFailure)
	}
	return err
}

func (c *importCommand) restore(p *process, in *input) (report transfer.Report, err error) {
	header, err := in.header()
	if err != nil {
		advice := ""
		if errors.Is(err, transfer.ErrNoExport) {
			advice = "; --format names the format of another file"
		}
		return report, fmt.Errorf("%s: %s%s", c.path, tally.AsError(err).Message, advice)
	}
	m := p.meter("import")
	m.total = in.size
	defer m.end()
	options := transfer.ImportOptions{
		Replace:  c.mode == "replace",
		RetryFor: importRetry,
		OnRefusal: func(r transfer.Refusal) {
			m.end()
			fmt.Fprintf(p.stderr, "%s: %s\n", printable(c.path), printable(r.String()))
		},
		OnProgress: func(done transfer.Totals) { m.at(in.read(), m.progress(done)) },
	}
	if c.dry {
		return transfer.Import(p.ctx, discard{}, in, options)
	}
	client, err := p.openBackend(c.backend, storeUse{command: "import", create: true, newSecret: header.Secret, needsSecret: true})
	if err != nil {
		return report, err
	}
	defer client.close()
	return transfer.Import(p.ctx, &clientTarget{client: client}, in, options)
}

// discard is the target of a dry run; it stores nothing.
type discard struct{}

func (discard) Begin(context.Context, transfer.Header) error { return nil }
func (discard) Store(context.Context, bool, transfer.Batch) ([]transfer.Refusal, error) {
	return nil, nil
}

// clientTarget is a target that sends each batch to the admin API.
type clientTarget struct {
	client *adminClient
	header transfer.Header
}

// Begin makes the service compare the secrets before any data is sent.
func (t *clientTarget) Begin(ctx context.Context, header transfer.Header) error {
	t.header = header
	t.header.Secret = nil // the fingerprint identifies it
	_, err := t.send(ctx, false, transfer.EncodePart(t.header, transfer.Batch{}))
	return err
}

func (t *clientTarget) Store(ctx context.Context, replace bool, batch transfer.Batch) ([]transfer.Refusal, error) {
	report, err := t.send(ctx, replace, transfer.EncodePart(t.header, batch))
	if err != nil {
		return nil, err
	}
	numbers, refused := batch.LineNumbers(), report.Refusals
	for i, each := range refused {
		// The first line of a part is the header.
		if at := each.Line - 2; at >= 0 && at < int64(len(numbers)) {
			refused[i].Line = numbers[at]
		}
	}
	if int64(len(refused)) < report.Refused {
		return refused, fmt.Errorf("the service refused %s, but gave the reasons of %d only", counted(report.Refused, "line"), len(refused))
	}
	return refused, nil
}

func (t *clientTarget) send(ctx context.Context, replace bool, part []byte) (report transfer.Report, err error) {
	mode := "merge"
	if replace {
		mode = "replace"
	}
	response, err := t.client.stream(ctx, http.MethodPost, "/admin/v1/import?mode="+mode, bytes.NewReader(part), "application/jsonl")
	if err != nil {
		return report, unavailable(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		return report, unavailable(t.client.unreadable(err))
	}
	return report, nil
}

// unavailable turns the error of a service or a store that cannot be reached into
// [tally.CodeStoreUnavailable], so that the import retries. It returns other errors as they are.
func unavailable(err error) error {
	var refused *adminError
	if errors.As(err, &refused) && refused.code != tally.CodeStoreUnavailable && refused.status < http.StatusInternalServerError {
		return err
	}
	return &tally.Error{Code: tally.CodeStoreUnavailable, Message: err.Error()}
}
