package api

import (
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// defaultLast is the number of points of a history without ?last=.
const defaultLast = 30

// history serves GET /v1/history/{site}/{metric}/{key}.
func (a *API) history(q *call) error {
	topic, err := q.topic()
	if err != nil {
		return err
	}
	period, last, err := q.historyParameters()
	if err != nil {
		return err
	}
	if err := q.takeReads(1); err != nil {
		return err
	}
	h, err := a.options.Service.History(q.r.Context(), topic, period)
	if err != nil {
		return err
	}
	answer := appendHistory(q.buffer[:0], &h, h.Points(a.catalog.Rule(topic).Kind == tally.Presence, last))
	if h.IsStale {
		answer = markStale(answer)
	}
	q.respondReading(answer, false, h.IsStale, "")
	return nil
}

// historyParameters parses ?by= and ?last=. Errors: bad_body.
func (q *call) historyParameters() (period tally.Period, last int, err error) {
	if err := q.checkParameters(); err != nil {
		return 0, 0, err
	}
	period, last = tally.Day, defaultLast
	text, found, err := q.parameter("by")
	if err == nil && found {
		period, err = tally.ParsePeriod(text)
	}
	if err != nil {
		return 0, 0, err
	}
	if text, found, err = q.parameter("last"); err == nil && found {
		last, err = tally.ParseLimit("last", text, period.Max())
	}
	return period, last, err
}

func appendHistory(dst []byte, h *tally.History, points []tally.Point) []byte {
	dst = append(dst, `{"topic":`...)
	dst = tally.AppendJSONString(dst, h.Topic.String())
	dst = fmt.Appendf(dst, `,"by":"%s","points":[`, h.Period)
	dst = appendList(dst, points, func(dst []byte, p tally.Point) []byte {
		return fmt.Appendf(dst, `{"at":"%s","count":%d}`, p.At.Format(time.RFC3339), p.Count)
	})
	return fmt.Appendf(dst, `],"count":%d,"version":%d}`, h.Count, h.Version)
}
