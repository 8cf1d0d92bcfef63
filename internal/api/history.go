package api

import (
	"bytes"
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
	answer, err := encodeHistory(&h, h.Points(a.catalog.Rule(topic).Kind == tally.Presence, last))
	if err != nil {
		return err
	}
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

func encodeHistory(h *tally.History, points []tally.Point) ([]byte, error) {
	type point struct {
		At    time.Time `json:"at"`
		Count int64     `json:"count"`
	}
	shown := make([]point, len(points))
	for i, p := range points {
		shown[i] = point{p.At.UTC(), p.Count}
	}
	var text bytes.Buffer
	err := tally.NewEncoder(&text).Encode(struct {
		Topic   tally.Topic `json:"topic"`
		By      string      `json:"by"`
		Points  []point     `json:"points"`
		Count   int64       `json:"count"`
		Version int64       `json:"version"`
	}{h.Topic, h.Period.String(), shown, h.Count, h.Version})
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
