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

// print prints a message for people, or the answer as JSON.
func (c *ownerCommand) print(raw json.RawMessage, format string, args ...any) {
	if !c.asTable {
		c.printJSON(raw)
		return
	}
	fmt.Fprintln(c.stdout, printable(fmt.Sprintf(format, args...)))
}

func (c *ownerCommand) printEdit(raw json.RawMessage, topic string, e editResult) {
	if !e.Changed {
		c.print(raw, "%s is already %s", topic, thousands(e.After.Count))
		return
	}
	c.print(raw, "%s: %s → %s", topic, thousands(e.Before.Count), thousands(e.After.Count))
}

func setTopic(c *ownerCommand) error { return c.setNumber("count") }
func setSeed(c *ownerCommand) error  { return c.setNumber("seed") }

// setNumber sets the count or the seed of the topic that the arguments name.
func (c *ownerCommand) setNumber(name string) error {
	if err := c.needArguments(2, "a topic and its "+name+", such as default/likes/hello 42"); err != nil {
		return err
	}
	topics, err := parseTopics(c.args[:1])
	if err != nil {
		return err
	}
	n, err := numeral.Parse(c.args[1])
	if err != nil {
		return usageError{err}
	}
	var done editResult
	raw, err := c.call("PATCH", topicPath(topics[0]), map[string]int64{name: n}, &done)
	if err != nil {
		return err
	}
	c.printEdit(raw, topics[0], done)
	return nil
}

func resetTopics(c *ownerCommand) error {
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	if err := c.confirm("Set %s to 0, and forget its visitors?", nameTopics(topics)); err != nil {
		return err
	}
	var answer struct{ Topics []json.RawMessage }
	if _, err := c.call("POST", "/admin/v1/reset", map[string][]string{"topics": topics}, &answer); err != nil {
		return err
	}
	var failed []error
	for _, raw := range answer.Topics {
		var done editResult
		if err := json.Unmarshal(raw, &done); err != nil {
			return c.client.unreadable(err)
		}
		if done.Error != nil {
			failed = append(failed, fmt.Errorf("%s: %s (%s)", printable(done.Topic), printable(done.Error.Message), done.Error.Code))
			continue
		}
		c.printEdit(raw, done.Topic, done)
	}
	return errors.Join(failed...)
}

func deleteTopics(c *ownerCommand) error {
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	if err := c.confirm("Delete %s, and forget its visitors?", nameTopics(topics)); err != nil {
		return err
	}
	for _, topic := range topics {
		var done editResult
		raw, err := c.call("DELETE", topicPath(topic), nil, &done)
		if err != nil {
			return err
		}
		if done.Changed {
			c.print(raw, "%s, which was %s, is deleted", topic, thousands(done.Before.Count))
		} else {
			c.print(raw, "%s did not exist", topic)
		}
	}
	return nil
}

func renameTopic(c *ownerCommand) error {
	if err := c.needArguments(2, "the topic and its new name"); err != nil {
		return err
	}
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	if err := c.confirm("Rename %s to %s? Recent contributions cannot be undone by their source afterwards.", topics[0], topics[1]); err != nil {
		return err
	}
	return c.move("/admin/v1/rename", map[string]string{"from": topics[0], "to": topics[1]})
}

func mergeTopics(c *ownerCommand) error {
	from, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	into := c.reader.Text("into")
	if into == "" {
		return usagef("--into is missing: it names the topic that receives the contributions")
	}
	to, err := parseTopics([]string{into})
	if err != nil {
		return err
	}
	if err := c.confirm("Merge %s into %s? This cannot be undone. A visitor of several of them counts several times.", nameTopics(from), to[0]); err != nil {
		return err
	}
	return c.move("/admin/v1/merge", map[string]any{"from": from, "to": to[0]})
}

func (c *ownerCommand) move(path string, body any) error {
	var to topicState
	raw, err := c.call("POST", path, body, &to)
	if err != nil {
		return err
	}
	c.print(raw, "%s is %s", to.Topic, thousands(to.Count))
	return nil
}

// nameTopics names one topic, or says how many there are.
func nameTopics(topics []string) string {
	if len(topics) == 1 {
		return topics[0]
	}
	return fmt.Sprintf("%d topics", len(topics))
}

// errNotDone means that the answer to a question was no.
var errNotDone = errors.New("nothing was done")

// confirm asks on the terminal unless --yes is given. Without a terminal --yes is required.
func (c *ownerCommand) confirm(format string, args ...any) error {
	if yes := config.Read(c.reader, "yes", config.ParseBool); yes {
		return nil
	}
	question := printable(fmt.Sprintf(format, args...))
	if !server.IsTerminal(c.stderr) || !server.IsTerminal(os.Stdin) {
		return usagef("--yes is needed without a terminal: %s", question)
	}
	fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of the input means no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errNotDone
}
