package sqlitestore

import (
	"context"
	"fmt"

	"github.com/tallycast/tallycast/internal/tally"
)

// row is a topic as it is stored; its id is 0 where it is not.
type row struct {
	id, count, version int64
	seed, adjustment   int64
	mark               string // see [tally.Ledger.SwapMark]
}

// counted returns what the topic's contributions add in all.
func (r row) counted() int64 { return r.count - r.seed - r.adjustment }

// add adds to what contributions add.
func (r *row) add(delta int64) { r.sum(r.counted() + delta) }

// sum makes the count what it is with so much from contributions. The adjustment
// rises where it would be below 0.
func (r *row) sum(counted int64) {
	r.count = r.seed + r.adjustment + counted
	if r.count < 0 {
		r.adjustment -= r.count
		r.count = 0
	}
}

// state returns what is stored of topic, which r is the row of.
func (r row) state(topic tally.Topic) tally.State {
	return tally.State{
		Change: tally.Change{Topic: topic, Count: r.count, Version: r.version},
		Seed:   r.seed, Adjustment: r.adjustment,
	}
}

// numbering gives ids and first versions to topics, so that what is made anew is
// not taken for what was there before. The file keeps both where topics were
// removed: see removed.
type numbering struct {
	nextID  int64 // above all ids ever used, which the journal may still name
	highest int64 // version of a topic that was deleted; what is made begins above
}

// loadNumbering reads the numbering at the start.
func (w *writer) loadNumbering(ctx context.Context) error {
	err := w.conn.QueryRowContext(ctx, `SELECT
		1 + max(coalesce((SELECT max(id) FROM topics), 0), coalesce((SELECT value FROM meta WHERE name = 'last_topic'), 0)),
		coalesce((SELECT value FROM meta WHERE name = 'last_version'), 0)`).Scan(&w.nextID, &w.highest)
	if err != nil {
		return fmt.Errorf("read the numbering of topics: %w", err)
	}
	return nil
}

// id returns an id that was never used.
func (n *numbering) id() int64 {
	n.nextID++ // also where the transaction is rolled back
	return n.nextID - 1
}

func (w *writer) find(topic tally.Topic) (r row, err error) {
	err = w.findTopic.QueryRow(topic.Site(), topic.Metric(), topic.Key()).
		Scan(&r.id, &r.count, &r.version, &r.seed, &r.adjustment, &r.mark)
	if err != nil {
		return row{}, fmt.Errorf("find %s: %w", topic, err)
	}
	return r, nil
}

// create stores topic, which find did not find, with nothing in it. The version
// that it returns is one to go on from.
func (w *writer) create(topic tally.Topic) (row, error) {
	r := row{id: w.id(), version: w.highest}
	if err := w.storeRule(topic); err != nil {
		return row{}, err
	}
	if _, err := w.makeTopic.Exec(r.id, topic.Site(), topic.Metric(), topic.Key()); err != nil {
		return row{}, fmt.Errorf("create %s: %w", topic, err)
	}
	return r, nil
}

func (w *writer) set(r row) error {
	if _, err := w.setTopic.Exec(r.count, r.version, r.seed, r.adjustment, r.id); err != nil {
		return fmt.Errorf("set topic %d: %w", r.id, err)
	}
	return nil
}

// emptyTopic takes all contributions and the journal from a topic, at once however
// large it is: the topic gets another id, and what belongs to the former one is
// removed afterwards.
func (w *writer) emptyTopic(r *row) error {
	former := r.id
	*r = row{id: w.id(), version: r.version, mark: r.mark}
	if err := w.exec(`UPDATE topics SET id = ?, count = 0, seed = 0, adjustment = 0 WHERE id = ?`, r.id, former); err != nil {
		return err
	}
	return w.dropContributions(former)
}

// removeTopic removes a topic, after its count 0 was issued under r.version.
func (w *writer) removeTopic(topic tally.Topic, r row) error {
	if err := w.exec(`DELETE FROM register WHERE name = ?`, markPrefix+topic.String()); err != nil {
		return err
	}
	w.highest = max(w.highest, r.version)
	if err := w.exec(`DELETE FROM topics WHERE id = ?`, r.id); err != nil {
		return err
	}
	if err := w.exec(`INSERT INTO meta (name, value) VALUES ('last_topic', ?), ('last_version', ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, w.nextID-1, w.highest); err != nil {
		return err
	}
	return w.dropContributions(r.id)
}

// dropContributions has what belongs to a former id removed.
func (w *writer) dropContributions(former int64) error {
	if err := w.exec(`INSERT INTO dropped (topic) VALUES (?)`, former); err != nil {
		return err
	}
	w.sweepDue = true
	return w.exec(`DELETE FROM restoring WHERE topic = ?`, former)
}

// exec runs a statement that is too rare to be prepared.
func (w *writer) exec(query string, args ...any) error {
	if _, err := w.conn.ExecContext(context.Background(), query, args...); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}
