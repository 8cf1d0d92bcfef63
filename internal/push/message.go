package push

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/tallycast/tallycast/internal/tally"
)

// message is what a client says on its WebSocket: one verb, and topics.
type message struct {
	verb   verb
	topics []string
}

type verb uint8

const (
	verbSubscribe verb = iota + 1
	verbUnsubscribe
	verbPresent
	verbAbsent
)

// parseMessage reads {"subscribe":["topic", …]} and the like: an object with one
// of the four verbs and a list of strings. Errors: [tally.CodeBadBody].
func parseMessage(data []byte) (message, error) {
	var body struct {
		Subscribe   *[]string `json:"subscribe"`
		Unsubscribe *[]string `json:"unsubscribe"`
		Present     *[]string `json:"present"`
		Absent      *[]string `json:"absent"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	const want = `a message is one of {"subscribe":[…]}, {"unsubscribe":[…]}, {"present":[…]}, {"absent":[…]} with a list of topics`
	if err := decoder.Decode(&body); err != nil {
		return message{}, tally.Errorf(tally.CodeBadBody, want)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return message{}, tally.Errorf(tally.CodeBadBody, want)
	}
	var m message
	for i, topics := range [...]*[]string{body.Subscribe, body.Unsubscribe, body.Present, body.Absent} {
		if topics == nil {
			continue
		}
		if m.verb != 0 {
			return message{}, tally.Errorf(tally.CodeBadBody, want)
		}
		m = message{verb: verb(i + 1), topics: *topics}
	}
	if m.verb == 0 {
		return message{}, tally.Errorf(tally.CodeBadBody, want)
	}
	return m, nil
}
