package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// servedTarget imports through a running service, portion by portion.
type servedTarget struct {
	client *adminClient
	header transfer.Header
}

// Begin lets the service compare the secrets before anything is sent.
func (t *servedTarget) Begin(ctx context.Context, header transfer.Header) error {
	t.header = header
	t.header.Secret = nil // is the service's own, or it refuses
	_, err := t.send(ctx, false, transfer.EncodePart(t.header, nil))
	return err
}

func (t *servedTarget) Store(ctx context.Context, replace bool, lines []transfer.Line) ([]transfer.Refusal, error) {
	report, err := t.send(ctx, replace, transfer.EncodePart(t.header, lines))
	if err != nil {
		return nil, err
	}
	refused := report.Refusals
	for i, each := range refused {
		// The header is the first line of each portion.
		if at := each.Line - 2; at >= 0 && at < int64(len(lines)) {
			refused[i].Line = lines[at].Number
		}
	}
	if int64(len(refused)) < report.Refused {
		return refused, fmt.Errorf("the service refused %s and named %d", counted(int(report.Refused), "line"), len(refused))
	}
	return refused, nil
}

func (t *servedTarget) SetSetting(ctx context.Context, name, value string) error {
	_, err := t.send(ctx, false, transfer.EncodeSettingPart(t.header, name, value))
	return err
}

func (t *servedTarget) send(ctx context.Context, replace bool, piece []byte) (report transfer.Report, err error) {
	mode := "merge"
	if replace {
		mode = "replace"
	}
	response, err := t.client.stream(ctx, http.MethodPost, "/admin/v1/import?mode="+mode, bytes.NewReader(piece), "application/jsonl")
	if err != nil {
		return report, mayReturn(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		return report, mayReturn(fmt.Errorf("the answer of %s cannot be read: %w", t.client.at, err))
	}
	return report, nil
}

// mayReturn makes of an error of a service that is away, or whose store is, one after
// which an import tries again.
func mayReturn(err error) error {
	var refused *adminError
	if errors.As(err, &refused) && refused.code != string(tally.CodeStoreUnavailable) && refused.status < http.StatusInternalServerError {
		return err
	}
	return &tally.Error{Code: tally.CodeStoreUnavailable, Message: err.Error()}
}

// servedNumbers edits through a running service.
type servedNumbers struct{ client *adminClient }

// servedState is a topic as the service tells it.
type servedState struct {
	Count      int64
	Version    int64
	Seed       int64
	Adjustment int64
}

func (s servedState) of(topic tally.Topic) tally.State {
	return tally.State{Change: tally.Change{Topic: topic, Count: s.Count, Version: s.Version}, Seed: s.Seed, Adjustment: s.Adjustment}
}

func (n servedNumbers) States(ctx context.Context, topics []tally.Topic) ([]tally.State, error) {
	states := make([]tally.State, len(topics))
	for i, topic := range topics {
		var answer servedState
		if err := n.client.call(ctx, http.MethodGet, topicPath(topic.String()), nil, &answer); err != nil {
			return nil, err
		}
		states[i] = answer.of(topic)
	}
	return states, nil
}

func (n servedNumbers) Edit(ctx context.Context, edits []tally.Edit) {
	if len(edits) > 0 && edits[0].Kind == tally.EditSeed {
		n.seed(ctx, edits)
		return
	}
	for i := range edits {
		e := &edits[i]
		var answer struct {
			Before, After servedState
			Changed       bool
		}
		e.Err = n.client.call(ctx, http.MethodPatch, topicPath(e.Topic.String()), map[string]int64{nameOf(e.Kind): e.Value}, &answer)
		e.Before, e.After, e.Changed = answer.Before.of(e.Topic), answer.After.of(e.Topic), answer.Changed
	}
}

func (n servedNumbers) seed(ctx context.Context, edits []tally.Edit) {
	type line struct {
		Topic string `json:"topic"`
		Seed  int64  `json:"seed"`
	}
	asked := struct {
		Seeds []line `json:"seeds"`
	}{make([]line, len(edits))}
	for i, e := range edits {
		asked.Seeds[i] = line{e.Topic.String(), e.Value}
	}
	var answer struct {
		Seeds []struct {
			Before  int64
			Changed bool
			Error   *struct{ Message string }
		}
	}
	err := n.client.call(ctx, http.MethodPost, "/admin/v1/seeds", asked, &answer)
	if err == nil && len(answer.Seeds) != len(edits) {
		err = fmt.Errorf("%s answered of %d seeds where %d were sent", n.client.at, len(answer.Seeds), len(edits))
	}
	for i := range edits {
		if edits[i].Err = err; err != nil {
			continue
		}
		if each := answer.Seeds[i]; each.Error != nil {
			edits[i].Err = errors.New(each.Error.Message)
		} else {
			edits[i].Before.Seed, edits[i].After.Seed, edits[i].Changed = each.Before, edits[i].Value, each.Changed
		}
	}
}
