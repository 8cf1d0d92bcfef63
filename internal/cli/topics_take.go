package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

func forgetVisitor(m *mending) error {
	if err := m.exactly(1, "one visitor, by the id that its browser keeps"); err != nil {
		return err
	}
	if err := tally.ValidateVisitor(m.args[0]); err != nil {
		return usageError{errors.New(tally.AsError(err).Message)}
	}
	body := map[string]string{"visitor": m.args[0]}
	if site := m.flag("site"); site != "" {
		body["site"] = site
	}
	if err := m.confirm("Take back all that this visitor contributed?"); err != nil {
		return err
	}
	var done struct{ Contributions int64 }
	raw, err := m.call("POST", "/admin/v1/forget", body, &done)
	if err != nil {
		return err
	}
	m.tell(raw, "%s taken back", counted(int(done.Contributions), "contribution"))
	return nil
}

func block(m *mending) error   { return m.changeBlock("POST", "is blocked") }
func unblock(m *mending) error { return m.changeBlock("DELETE", "may contribute again") }

// changeBlock begins or ends a block of whom the command line names.
func (m *mending) changeBlock(method, becomes string) error {
	body := map[string]string{}
	visitor := m.flag("visitor")
	switch {
	case visitor != "" && len(m.args) == 0:
		body["visitor"] = visitor
	case visitor == "" && len(m.args) == 1:
		body["range"] = m.args[0]
	default:
		return usageError{errors.New("name one range of addresses, such as 203.0.113.0/24, or a visitor with --visitor")}
	}
	if _, ok := m.values["reason"]; ok {
		body["reason"] = m.flag("reason")
	}
	if err := m.client.call(m.ctx, method, "/admin/v1/blocks", body, nil); err != nil {
		return err
	}
	if m.table {
		who := "the visitor"
		if visitor == "" {
			who = m.args[0]
		}
		m.tell(nil, "%s %s", who, becomes)
	}
	return nil
}

// shownUndo is what an undo took back, or would.
type shownUndo struct {
	Contributions int64
	Topics        []struct {
		Topic         string
		Contributions int64
	}
	Sources []shownSource
}

// undo shows what would be taken back, asks, and takes it back.
func undo(m *mending) error {
	body := map[string]any{}
	for name, text := range m.scope() {
		body[name] = text[0]
	}
	if len(m.args) > 0 {
		topics, err := m.topics(m.args)
		if err != nil {
			return err
		}
		body["topics"] = topics
	}
	if len(body) == 0 {
		return usageError{errors.New("name topics, or a site with --site")}
	}
	from, to := config.Read(m.read, "from", parseMoment), config.Read(m.read, "to", parseMoment)
	if err := m.wrong(); err != nil {
		return err
	}
	if from.IsZero() {
		return usageError{errors.New("say with --from since when contributions are taken back, such as --from 2h")}
	}
	if to.IsZero() {
		to = time.Now() // what comes while somebody looks was not looked at
	}
	body["from"], body["to"] = from.UTC(), to.UTC()
	if sources := m.texts("source"); sources != nil {
		body["sources"] = sources
	}
	if addresses := m.texts("address"); addresses != nil {
		body["addresses"] = addresses
	}
	body["preview"] = true
	var found shownUndo
	raw, err := m.call("POST", "/admin/v1/undo", body, &found)
	if err != nil {
		return err
	}
	if found.Contributions == 0 {
		m.tell(raw, "there is nothing to take back")
		return nil
	}
	if err := m.preview(found); err != nil {
		return err
	}
	if err := m.confirm("Take back %s?", counted(int(found.Contributions), "contribution")); err != nil {
		return err
	}
	body["preview"] = false
	var done shownUndo
	if raw, err = m.call("POST", "/admin/v1/undo", body, &done); err != nil {
		return err
	}
	m.tell(raw, "%s taken back", counted(int(done.Contributions), "contribution"))
	return nil
}

// preview shows people what would be taken back.
func (m *mending) preview(found shownUndo) error {
	if !m.table {
		return nil
	}
	topics := &table{head: []string{"TOPIC", "CONTRIBUTIONS"}}
	for _, each := range found.Topics {
		topics.add(each.Topic, thousands(each.Contributions))
	}
	sources := &table{head: []string{"SOURCE", "CONTRIBUTIONS"}}
	for _, each := range found.Sources {
		sources.add(each.Source, thousands(each.Contributions))
	}
	if err := topics.write(m.stdout, ""); err != nil {
		return err
	}
	fmt.Fprintln(m.stdout)
	return sources.write(m.stdout, "")
}

// prune shows what would be ended, asks, and ends it.
func prune(m *mending) error {
	query := m.scope()
	untouched := config.Read(m.read, "untouched", parseSpan)
	if err := m.wrong(); err != nil {
		return err
	}
	switch {
	case query.Get("site") == "":
		return usageError{errors.New("name a site with --site: what nobody touches may still be wanted")}
	case untouched == 0:
		return usageError{errors.New("say with --untouched for how long nobody touched them, such as --untouched 365d")}
	}
	body := map[string]any{"untouched_since": time.Now().Add(-untouched).UTC(), "preview": true}
	for name, text := range query {
		body[name] = text[0]
	}
	var found struct{ Topics []topicState }
	if _, err := m.call("POST", "/admin/v1/prune", body, &found); err != nil {
		return err
	}
	if len(found.Topics) == 0 {
		if m.table {
			m.tell(nil, "there is nothing to prune")
		}
		return nil
	}
	if err := m.previewPrune(found.Topics); err != nil {
		return err
	}
	if err := m.confirm("Delete %s?", counted(len(found.Topics), "topic")); err != nil {
		return err
	}
	body["preview"] = false
	return tabulate(m, stateHead, "Somebody touched them.", func(each func(json.RawMessage) error) error {
		return m.pruneAll(body, each)
	}, addState)
}

func (m *mending) previewPrune(found []topicState) error {
	if !m.table {
		return nil
	}
	t := &table{head: stateHead}
	for _, state := range found {
		addState(t, state)
	}
	if err := t.write(m.stdout, ""); err != nil {
		return err
	}
	fmt.Fprintln(m.stdout)
	return nil
}

// pruneAll calls until nothing is left: one call ends so many topics and no more.
func (m *mending) pruneAll(body map[string]any, each func(json.RawMessage) error) error {
	for {
		var done struct{ Topics []json.RawMessage }
		if _, err := m.call("POST", "/admin/v1/prune", body, &done); err != nil {
			return err
		}
		for _, raw := range done.Topics {
			if err := each(raw); err != nil {
				return err
			}
		}
		if len(done.Topics) == 0 {
			return nil
		}
	}
}
