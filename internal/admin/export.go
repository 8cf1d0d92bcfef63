package admin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// exportWriteTimeout bounds one write of an export, so that a client that stopped reading
// does not keep the store's snapshot.
const exportWriteTimeout = 30 * time.Second

// exportFormat is a format of an export.
type exportFormat struct {
	media, extension string
	write            func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error
}

// exportFormats are the formats by name.
var exportFormats = map[string]exportFormat{
	"jsonl": {"application/jsonl", "jsonl", func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error {
		secret, err := q.owner.Store().Secret()
		if err != nil {
			return err
		}
		_, err = transfer.Export(ctx, q.owner.Store(), q.owner.Catalog(), transfer.NewHeader(secret, q.s.exportSecret && q.access.Role == owner.Admin, q.s.now()), scope, w, nil)
		return err
	}},
	"csv":  {"text/csv; charset=utf-8", "csv", exportCounts(false)},
	"json": {"application/json", "json", exportCounts(true)},
}

func exportCounts(asJSON bool) func(context.Context, *request, tally.Scope, *exportWriter) error {
	return func(ctx context.Context, q *request, scope tally.Scope, w *exportWriter) error {
		_, err := transfer.ExportCounts(ctx, q.owner.Store(), scope, asJSON, w, nil)
		return err
	}
}

// exportData answers GET /admin/v1/export.
func (q *request) exportData() (any, error) {
	values, scope, err := q.scopeQuery("format")
	if err != nil {
		return nil, err
	}
	format, ok := exportFormats[cmp.Or(values.Get("format"), "jsonl")]
	if !ok {
		return nil, tally.Errorf(tally.CodeBadBody, "format must be jsonl, csv or json")
	}
	w := &exportWriter{q: q, control: http.NewResponseController(q.w), format: format}
	if q.r.Method == http.MethodHead {
		w.begin()
		return responded{}, nil
	}
	// A client that stopped reading does not delay the end of an export whose token was revoked.
	defer context.AfterFunc(q.r.Context(), func() { _ = w.control.SetWriteDeadline(time.Now()) })()
	err = format.write(q.r.Context(), q, scope, w)
	if err != nil && !w.hasBegun {
		return nil, err
	}
	if err != nil {
		if q.r.Context().Err() == nil {
			q.s.logger.Error("export failed after it had begun", "error", err, "request_id", q.caller.RequestID)
		}
		panic(http.ErrAbortHandler) // closes the connection, so that the response does not look complete
	}
	_ = w.control.SetWriteDeadline(time.Time{}) // the connection may serve another request
	return responded{}, nil
}

// exportWriter sends an export and bounds each write.
type exportWriter struct {
	q        *request
	control  *http.ResponseController
	format   exportFormat
	hasBegun bool
}

// begin sets the headers, once the export is known to succeed so far.
func (w *exportWriter) begin() {
	w.hasBegun = true
	h := w.q.w.Header()
	h.Set("Content-Type", w.format.media)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="tallycast-%s.%s"`, w.q.s.now().UTC().Format(time.DateOnly), w.format.extension))
	h.Set("X-Accel-Buffering", "no") // proxies do not buffer it
}

func (w *exportWriter) Write(p []byte) (int, error) {
	if !w.hasBegun {
		w.begin()
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(exportWriteTimeout)) // no error if deadlines are unsupported
	if err := w.q.r.Context().Err(); err != nil {                      // checked after it: the end of the context may have set an earlier deadline
		return 0, err
	}
	return w.q.w.Write(p)
}

// importTypes are the media types of an export.
var importTypes = []string{"application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/octet-stream"}

// maxRefusals bounds the refusals in a response, which has the first ones: more than a piece
// of an export has lines. In another file, each byte may be refused.
const maxRefusals = 10_000

// importData answers POST /admin/v1/import: a piece of an export, its header first.
func (q *request) importData() (any, error) {
	values, err := q.query("mode")
	if err != nil {
		return nil, err
	}
	replace := values.Get("mode") == "replace"
	if mode := values.Get("mode"); mode != "" && mode != "merge" && !replace {
		return nil, tally.Errorf(tally.CodeBadBody, "mode must be merge or replace")
	}
	body, err := q.read(importTypes, maxBody)
	if err != nil {
		return nil, err
	}
	secret, err := q.owner.Store().Secret()
	if err != nil {
		return nil, err
	}
	refused := []transfer.Refusal{}
	target := siteRecorder{transfer.NewStoreTarget(q.owner.Store(), q.owner.Catalog(), q.owner.NewImportCheck().Admit), map[string]bool{}}
	report, err := transfer.Import(q.detached(), target, bytes.NewReader(body), transfer.ImportOptions{
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
	if report.Settings > 0 {
		err = errors.Join(err, q.owner.Reload(q.detached()))
	}
	return report, errors.Join(err, q.auditImport(report, replace, target.sites))
}

// auditImport writes an import to the audit log, if it stored something.
func (q *request) auditImport(report transfer.Report, replace bool, sites map[string]bool) error {
	if report.Topics+report.Contributions+report.Settings == 0 {
		return nil
	}
	entry := tally.AuditEntry{Actor: q.actor(), Action: "import", Target: "merge"}
	if replace {
		entry.Target = "replace"
	}
	entry.Detail = fmt.Sprintf("part of an export with %s, %s and %s",
		tally.Quantity(int(report.Topics), "topic"), tally.Quantity(int(report.Contributions), "contribution"), tally.Quantity(int(report.Settings), "setting"))
	if !sites[""] {
		entry.Sites = strings.Join(slices.Sorted(maps.Keys(sites)), " ")
	}
	return q.owner.Audit(q.detached(), entry)
}

// siteRecorder is a target that records the sites of the lines that it stored; "" for a line that
// concerns all sites.
type siteRecorder struct {
	transfer.Target
	sites map[string]bool
}

func (t siteRecorder) Store(ctx context.Context, replace bool, batch transfer.Batch) ([]transfer.Refusal, error) {
	refused, err := t.Target.Store(ctx, replace, batch)
	isRefused := map[int64]bool{}
	for _, each := range refused {
		isRefused[each.Line] = true
	}
	for _, setting := range batch.Settings {
		if !isRefused[setting.Number] {
			t.sites[tally.SettingSite(setting.Name)] = true
		}
	}
	for _, line := range batch.Lines {
		if !isRefused[line.Number] {
			t.sites[line.Topic.Site()] = true
		}
	}
	return refused, err
}
