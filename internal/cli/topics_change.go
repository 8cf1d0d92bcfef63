package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/server"
)

// tell shows one change: what it did for people, or the answer as it came.
func (m *mending) tell(raw json.RawMessage, format string, args ...any) {
	if !m.table {
		m.line(raw)
		return
	}
	fmt.Fprintln(m.stdout, printable(fmt.Sprintf(format, args...)))
}

func (m *mending) tellEdit(raw json.RawMessage, topic string, e editResult) {
	if !e.Changed {
		m.tell(raw, "%s is %s already", topic, thousands(e.After.Count))
		return
	}
	m.tell(raw, "%s: %s → %s", topic, thousands(e.Before.Count), thousands(e.After.Count))
}

func setTopic(m *mending) error { return m.setNumber("count") }
func setSeed(m *mending) error  { return m.setNumber("seed") }

// setNumber sets one of the numbers of the topic that the arguments name.
func (m *mending) setNumber(name string) error {
	if err := m.exactly(2, "a topic and its "+name+", such as default/likes/hello 42"); err != nil {
		return err
	}
	topics, err := m.topics(m.args[:1])
	if err != nil {
		return err
	}
	n, err := numeral.Parse(m.args[1])
	if err != nil {
		return usageError{err}
	}
	var done editResult
	raw, err := m.call("PATCH", topicPath(topics[0]), map[string]int64{name: n}, &done)
	if err != nil {
		return err
	}
	m.tellEdit(raw, topics[0], done)
	return nil
}

func resetTopics(m *mending) error {
	topics, err := m.topics(m.args)
	if err != nil {
		return err
	}
	if err := m.confirm("Set %s to 0, and forget who contributed?", named(topics)); err != nil {
		return err
	}
	var answer struct{ Topics []json.RawMessage }
	if _, err := m.call("POST", "/admin/v1/reset", map[string][]string{"topics": topics}, &answer); err != nil {
		return err
	}
	var failed []error
	for _, raw := range answer.Topics {
		var done editResult
		if err := json.Unmarshal(raw, &done); err != nil {
			return m.client.unreadable(err)
		}
		if done.Error != nil {
			failed = append(failed, fmt.Errorf("%s: %s (%s)", printable(done.Topic), printable(done.Error.Message), done.Error.Code))
			continue
		}
		m.tellEdit(raw, done.Topic, done)
	}
	return errors.Join(failed...)
}

func deleteTopics(m *mending) error {
	topics, err := m.topics(m.args)
	if err != nil {
		return err
	}
	if err := m.confirm("Delete %s, and forget who contributed?", named(topics)); err != nil {
		return err
	}
	for _, topic := range topics {
		var done editResult
		raw, err := m.call("DELETE", topicPath(topic), nil, &done)
		if err != nil {
			return err
		}
		if done.Changed {
			m.tell(raw, "%s, which was %s, is gone", topic, thousands(done.Before.Count))
		} else {
			m.tell(raw, "%s was not there", topic)
		}
	}
	return nil
}

func renameTopic(m *mending) error {
	if err := m.exactly(2, "the topic and its new name"); err != nil {
		return err
	}
	topics, err := m.topics(m.args)
	if err != nil {
		return err
	}
	if err := m.confirm("Rename %s to %s? What came lately cannot be undone by its source afterwards.", topics[0], topics[1]); err != nil {
		return err
	}
	return m.move("/admin/v1/rename", map[string]string{"from": topics[0], "to": topics[1]})
}

func mergeTopics(m *mending) error {
	from, err := m.topics(m.args)
	if err != nil {
		return err
	}
	into := m.flag("into")
	if into == "" {
		return usageError{errors.New("say with --into which topic they become")}
	}
	to, err := m.topics([]string{into})
	if err != nil {
		return err
	}
	if err := m.confirm("Merge %s into %s? That cannot be taken apart again; whoever contributed to several counts as often.", named(from), to[0]); err != nil {
		return err
	}
	return m.move("/admin/v1/merge", map[string]any{"from": from, "to": to[0]})
}

func (m *mending) move(path string, body any) error {
	var to topicState
	raw, err := m.call("POST", path, body, &to)
	if err != nil {
		return err
	}
	m.tell(raw, "%s is %s", to.Topic, thousands(to.Count))
	return nil
}

// named names one thing, or how many there are.
func named(topics []string) string {
	if len(topics) == 1 {
		return topics[0]
	}
	return fmt.Sprintf("%d topics", len(topics))
}

// errNotDone ends what somebody was asked about and did not want.
var errNotDone = errors.New("nothing was done")

// confirm asks whoever sits at the terminal. Where nobody does, --yes has to be given.
func (m *mending) confirm(format string, args ...any) error {
	if yes := config.Read(m.read, "yes", config.ParseBool); yes {
		return nil
	}
	question := printable(fmt.Sprintf(format, args...))
	if !server.IsTerminal(m.stderr) || !server.IsTerminal(os.Stdin) {
		return usageError{fmt.Errorf("--yes is needed where nobody can be asked: %s", question)}
	}
	fmt.Fprintf(m.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of the input is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errNotDone
}
