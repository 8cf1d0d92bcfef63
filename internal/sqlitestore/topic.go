package sqlitestore

import (
	"fmt"

	"github.com/tallycast/tallycast/internal/tally"
)

// row is a stored topic. Its id is 0 if the topic does not exist.
type row struct {
	id int64
	tally.State
	mark string // see [tally.MarkStore]
	past
	stored tally.State // the state in the file; of version 0 for a new or emptied topic
}

// numbering gives new topics ids that were never used, and versions above the versions of
// deleted topics. When a topic is deleted, the table meta stores both numbers.
type numbering struct {
	nextID  int64 // above all ids ever used, which the journal may still contain
	highest int64 // version of a deleted topic
}

// loadNumbering reads the numbering from the file.
func (w *writer) loadNumbering() error {
	_, err := w.get(`SELECT
		1 + max(coalesce((SELECT max(id) FROM topics), 0), coalesce((SELECT value FROM meta WHERE name = 'last_topic'), 0)),
		coalesce((SELECT value FROM meta WHERE name = 'last_version'), 0)`, nil, &w.nextID, &w.highest)
	return err
}

// id returns an id that was never used.
func (n *numbering) id() int64 {
	n.nextID++ // even if the transaction is rolled back
	return n.nextID - 1
}

// find returns the row of topic.
func (w *writer) find(topic tally.Topic) (r row, err error) {
	r.Topic = topic
	var options string
	// Always one row, of zeros for a missing topic, which may have a mark.
	_, err = w.get(`SELECT coalesce(id, 0), coalesce(count, 0), coalesce(version, 0), coalesce(seed, 0), coalesce(adjustment, 0), coalesce(options, ''), coalesce(value, ''), prior, coalesce(is_complete, 0)
		FROM (SELECT ?1 AS site, ?2 AS metric, ?3 AS key) AS asked
		LEFT JOIN topics USING (site, metric, key)
		LEFT JOIN register ON name = '`+markPrefix+`' || asked.site || '/' || asked.metric || '/' || asked.key`,
		[]any{topic.Site(), topic.Metric(), topic.Key()},
		&r.id, &r.Count, &r.Version, &r.Seed, &r.Adjustment, &options, &r.mark, &r.prior, &r.isComplete)
	if err == nil {
		err = parseOptions(w.catalog.Rule(topic), options, &r.State)
	}
	if err != nil {
		return r, fmt.Errorf("find %s: %w", topic, err)
	}
	r.stored = r.State
	return r, nil
}

// create inserts an empty topic that does not exist. The caller then sets a version above the
// one that create sets.
func (w *writer) create(r *row) error {
	r.id, r.Version = w.id(), w.highest
	r.past = w.newPast(true)
	if err := w.storeRule(r.Topic); err != nil {
		return err
	}
	return w.exec(`INSERT INTO topics (id, site, metric, key, count, version, prior, is_complete) VALUES (?, ?, ?, ?, 0, 0, ?, ?)`,
		r.id, r.Topic.Site(), r.Topic.Metric(), r.Topic.Key(), r.prior, r.isComplete)
}

// set stores the state of r, and the former state in the history, see record.
func (w *writer) set(r *row) error {
	if err := w.record(r); err != nil {
		return err
	}
	return w.exec(`UPDATE topics SET count = ?, version = ?, seed = ?, adjustment = ?, options = ?, prior = ?, is_complete = ? WHERE id = ?`,
		r.Count, r.Version, r.Seed, r.Adjustment, formatOptions(&r.State), r.prior, r.isComplete, r.id)
}

// emptyTopic removes the state, contributions, journal and history of a topic of any size at
// once: it gives the topic another id. The sweep removes the rows with the former id.
func (w *writer) emptyTopic(r *row) error {
	former, version := r.id, r.Version
	r.id, r.State = w.id(), w.catalog.Rule(r.Topic).EmptyState(r.Topic)
	r.Version = version
	r.past, r.stored = w.newPast(false), tally.State{}
	if err := w.exec(`UPDATE topics SET id = ?, count = 0, seed = 0, adjustment = 0, options = '', prior = ?, is_complete = ? WHERE id = ?`,
		r.id, r.prior, r.isComplete, former); err != nil {
		return err
	}
	return w.dropContributions(former)
}

// removeTopic deletes the topic of r, whose version is the final one.
func (w *writer) removeTopic(r *row) error {
	if err := w.exec(`DELETE FROM register WHERE name = ?`, markPrefix+r.Topic.String()); err != nil {
		return err
	}
	w.highest = max(w.highest, r.Version)
	if err := w.exec(`DELETE FROM topics WHERE id = ?`, r.id); err != nil {
		return err
	}
	if err := w.exec(`INSERT INTO meta (name, value) VALUES ('last_topic', ?), ('last_version', ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, w.nextID-1, w.highest); err != nil {
		return err
	}
	return w.dropContributions(r.id)
}

// dropContributions marks the contributions of a former id for the sweep.
func (w *writer) dropContributions(former int64) error {
	if err := w.exec(`INSERT INTO dropped (topic) VALUES (?)`, former); err != nil {
		return err
	}
	w.sweepDue = true
	return w.exec(`DELETE FROM restoring WHERE topic = ?`, former)
}
