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

// exportTypes are the media types of the formats of an export. A format is also the extension of the file.
var exportTypes = map[string]string{"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8", "json": "application/json"}

// exportData answers GET /admin/v1/export.
func (q *request) exportData() (any, error) {
	values, scope, err := q.scopeQuery("format")
	if err != nil {
		return nil, err
	}
	w := &exportWriter{q: q, control: http.NewResponseController(q.w), format: cmp.Or(values.Get("format"), "jsonl")}
	if exportTypes[w.format] == "" {
		return nil, tally.Errorf(tally.CodeBadBody, "format must be jsonl, csv or json")
	}
	if q.r.Method == http.MethodHead {
		w.begin()
		return responded{}, nil
	}
	// The export of a revoked token ends at once, even if the client stopped reading.
	defer context.AfterFunc(q.r.Context(), func() { _ = w.control.SetWriteDeadline(time.Now()) })()
	err = w.export(scope)
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
	format   string // of exportTypes
	hasBegun bool
}

// export writes the topics of scope.
func (w *exportWriter) export(scope tally.Scope) error {
	ctx, store := w.q.r.Context(), w.q.owner.Store()
	if w.format != "jsonl" {
		return transfer.ExportCounts(ctx, store, scope, w.format == "json", w)
	}
	secret, err := store.Secret()
	if err != nil {
		return err
	}
	header := transfer.NewHeader(secret, w.q.s.exportSecret && w.q.access.Role == owner.Admin, w.q.s.now())
	return transfer.Export(ctx, store, w.q.owner.Catalog(), header, scope, w)
}

// begin sets the headers. It is called with the first bytes of the export, so that an error before
// them has its own response.
func (w *exportWriter) begin() {
	w.hasBegun = true
	h := w.q.w.Header()
	h.Set("Content-Type", exportTypes[w.format])
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="tallycast-%s.%s"`, w.q.s.now().UTC().Format(time.DateOnly), w.format))
	h.Set("X-Accel-Buffering", "no") // proxies do not buffer it
}

func (w *exportWriter) Write(p []byte) (int, error) {
	if !w.hasBegun {
		w.begin()
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(exportWriteTimeout)) // no error if deadlines are unsupported
	// Check the context afterwards: its end sets an earlier deadline, which may be replaced now.
	if err := w.q.r.Context().Err(); err != nil {
		return 0, err
	}
	return w.q.w.Write(p)
}

// importTypes are the media types of an export.
var importTypes = []string{"application/jsonl", "application/x-ndjson", "application/x-jsonlines", "application/octet-stream"}

// importData answers POST /admin/v1/import: a part of an export, its header first.
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
	target := transfer.NewStoreTarget(q.owner.Store(), q.owner.Catalog(), q.owner.NewImportCheck().Admit)
	report, err := transfer.Import(q.detached(), target, bytes.NewReader(body), transfer.ImportOptions{Replace: replace, Part: true})
	if report.Settings > 0 {
		err = errors.Join(err, q.owner.Reload(q.detached()))
	}
	return report, errors.Join(err, q.auditImport(report, replace))
}

// auditImport writes an import to the audit log, if it stored something.
func (q *request) auditImport(report transfer.Report, replace bool) error {
	if report.Topics+report.Contributions+report.Settings == 0 {
		return nil
	}
	entry := tally.AuditEntry{Actor: q.actor(), Action: "import", Target: "merge"}
	if replace {
		entry.Target = "replace"
	}
	entry.Detail = fmt.Sprintf("part of an export with %s, %s and %s",
		tally.Quantity(int(report.Topics), "topic"), tally.Quantity(int(report.Contributions), "contribution"), tally.Quantity(int(report.Settings), "setting"))
	if !report.Sites[""] {
		entry.Sites = strings.Join(slices.Sorted(maps.Keys(report.Sites)), " ")
	}
	return q.owner.Audit(q.detached(), entry)
}
