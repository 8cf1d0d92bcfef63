package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// takeWithin is how long who reads an export may take for one write of it, so that
// nobody who stopped reading holds the store's snapshot.
const takeWithin = 30 * time.Second

// exportForm is one of the forms of an export.
type exportForm struct {
	media, extension string
	write            func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error
}

// exportForms are the forms by their names.
var exportForms = map[string]exportForm{
	"jsonl": {"application/jsonl", "jsonl", func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error {
		secret, err := q.s.store.Secret()
		if err != nil {
			return err
		}
		_, err = transfer.Export(ctx, q.s.store, q.s.catalog, transfer.NewHeader(secret, false, q.s.now()), scope, w, nil)
		return err
	}},
	"csv":  {"text/csv; charset=utf-8", "csv", exportCounts(false)},
	"json": {"application/json", "json", exportCounts(true)},
}

func exportCounts(asJSON bool) func(context.Context, *request, tally.Scope, *exportWriter) error {
	return func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error {
		_, err := transfer.ExportCounts(ctx, q.s.store, scope, asJSON, w, nil)
		return err
	}
}

// exportNumbers answers GET /admin/v1/export, as long as that takes.
func (q *request) exportNumbers() error {
	values, err := q.query("site", "metric", "prefix", "format")
	if err != nil {
		return err
	}
	scope, err := q.s.scope(values.Get("site"), values.Get("metric"), values.Get("prefix"))
	if err != nil {
		return err
	}
	name := values.Get("format")
	if name == "" {
		name = "jsonl"
	}
	form, ok := exportForms[name]
	if !ok {
		return tally.Errorf(tally.CodeBadBody, "format is jsonl, csv or json")
	}
	w := &exportWriter{q: q, control: http.NewResponseController(q.w), form: form}
	if q.r.Method == http.MethodHead {
		w.begin() // nobody would read the rest
		return nil
	}
	err = form.write(q.r.Context(), q, scope, w)
	if err != nil && !w.begun {
		return err
	}
	if err != nil {
		if q.r.Context().Err() == nil {
			q.s.logger.Error("an export broke off", "error", err, "request_id", q.caller.RequestID)
		}
		panic(http.ErrAbortHandler) // else what was sent would look whole
	}
	_ = w.control.SetWriteDeadline(time.Time{}) // the connection may serve another call
	return nil
}

// exportWriter sends an export, each piece in good time.
type exportWriter struct {
	q       *request
	control *http.ResponseController
	form    exportForm
	begun   bool
}

// begin sets what stands before the export, once it is known that there is one.
func (w *exportWriter) begin() {
	w.begun = true
	h := w.q.w.Header()
	h.Set("Content-Type", w.form.media)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="tallycast-%s.%s"`, w.q.s.now().UTC().Format(time.DateOnly), w.form.extension))
	h.Set("X-Accel-Buffering", "no") // proxies hand it on as it comes
}

func (w *exportWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.begin()
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(takeWithin)) // where there are no deadlines, none is kept
	return w.q.w.Write(p)
}

// importKinds are the types that a piece of an export may have.
var importKinds = []string{"application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/octet-stream"}

// maxRefusals bounds the refusals that an answer names, the first: more than a piece
// of an export has lines, while each byte of something else may be one.
const maxRefusals = 10_000

// importNumbers answers POST /admin/v1/import: a piece of an export, its header first.
func (q *request) importNumbers() error {
	values, err := q.query("mode")
	if err != nil {
		return err
	}
	replace := values.Get("mode") == "replace"
	if mode := values.Get("mode"); mode != "" && mode != "merge" && !replace {
		return tally.Errorf(tally.CodeBadBody, "mode is merge or replace")
	}
	body, err := q.read(importKinds, maxBody)
	if err != nil {
		return err
	}
	secret, err := q.s.store.Secret()
	if err != nil {
		return err
	}
	refused := []transfer.Refusal{} // the asker counts lines of a larger file
	report, err := transfer.Import(q.carriedThrough(), transfer.NewStoreTarget(q.s.owner.WithReload(), q.s.catalog), bytes.NewReader(body), transfer.ImportOptions{
		Fingerprint: tally.NewHasher(secret).Fingerprint(),
		Replace:     replace,
		Part:        true,
		OnRefusal: func(r transfer.Refusal) {
			if len(refused) < maxRefusals {
				refused = append(refused, r)
			}
		},
	})
	report.Refusals = refused
	if err := errors.Join(err, q.auditImport(report, replace)); err != nil {
		return err
	}
	q.answer(report)
	return nil
}

// auditImport notes what an import stored, if anything.
func (q *request) auditImport(report transfer.Report, replace bool) error {
	if report.Topics+report.Contributions+report.Settings == 0 {
		return nil
	}
	target := "merge"
	if replace {
		target = "replace"
	}
	return q.s.owner.Audit(q.carriedThrough(), q.actor(), "import", target,
		fmt.Sprintf("a piece of an export with %s, %s and %s", tally.Quantity(int(report.Topics), "topic"), tally.Quantity(int(report.Contributions), "contribution"), tally.Quantity(int(report.Settings), "order")))
}
