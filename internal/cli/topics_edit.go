package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/numeral"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

// print prints a message for people, or the answer as JSON, which may be nil.
func (c *ownerCommand) print(raw json.RawMessage, format string, args ...any) {
	switch {
	case c.asTable:
		fmt.Fprintln(c.stdout, printable(fmt.Sprintf(format, args...)))
	case raw != nil:
		c.printJSON(raw)
	}
}

func (c *ownerCommand) printEdit(raw json.RawMessage, topic string, e admin.Edited) {
	if !e.Changed {
		c.print(raw, "%s is already %s", topic, countText(e.After))
		return
	}
	c.print(raw, "%s: %s → %s", topic, countText(e.Before), countText(e.After))
}

func (c *ownerCommand) setCount() error { return c.setNumber("count") }
func (c *ownerCommand) setSeed() error  { return c.setNumber("seed") }

// setNumber sets the count or the seed of the topic that the arguments name.
func (c *ownerCommand) setNumber(name string) error {
	if hasNumber := len(c.args) > 1; hasNumber == (c.options != "") {
		return usagef("%s needs a topic and either a number, or in a choice metric --options with one for each option, such as default/likes/hello 42 or default/rating/hello --options 0,1,2,4,5", c.name)
	}
	topics, err := parseTopics(c.args[:1])
	if err != nil {
		return err
	}
	n := tally.Numbers{Options: c.options}
	if c.options == "" {
		if n.Total, err = numeral.Parse(c.args[1]); err != nil {
			return usageError{err}
		}
	}
	var done admin.Edited
	raw, err := c.call("PATCH", topicPath(topics[0]), map[string]tally.Numbers{name: n}, &done)
	if err != nil {
		return err
	}
	c.printEdit(raw, topics[0], done)
	return nil
}

// parseAndConfirm parses the arguments as topics and asks the question about them.
func (c *ownerCommand) parseAndConfirm(question string) (topics []string, err error) {
	if topics, err = parseTopics(c.args); err != nil {
		return nil, err
	}
	return topics, c.confirm(question, nameTopics(topics))
}

func (c *ownerCommand) resetTopics() error {
	topics, err := c.parseAndConfirm("Set %s to 0, and forget its visitors?")
	if err != nil {
		return err
	}
	var answer struct{ Topics []json.RawMessage }
	if _, err := c.call("POST", "/admin/v1/reset", map[string][]string{"topics": topics}, &answer); err != nil {
		return err
	}
	var failed []error
	for _, raw := range answer.Topics {
		var done struct {
			Topic string
			admin.Edited
			Error *admin.ItemError
		}
		if err := json.Unmarshal(raw, &done); err != nil {
			return c.client.unreadable(err)
		}
		if done.Error != nil {
			failed = append(failed, fmt.Errorf("%s: %s (%s)", printable(done.Topic), printable(done.Error.Message), done.Error.Code))
			continue
		}
		c.printEdit(raw, done.Topic, done.Edited)
	}
	return errors.Join(failed...)
}

func (c *ownerCommand) deleteTopics() error {
	topics, err := c.parseAndConfirm("Delete %s, and forget its visitors?")
	if err != nil {
		return err
	}
	for _, topic := range topics {
		var done admin.Edited
		raw, err := c.call("DELETE", topicPath(topic), nil, &done)
		if err != nil {
			return err
		}
		if done.Changed {
			c.print(raw, "%s, which was %s, is deleted", topic, countText(done.Before))
		} else {
			c.print(raw, "%s did not exist", topic)
		}
	}
	return nil
}

func (c *ownerCommand) renameTopic() error {
	topics, err := parseTopics(c.args)
	if err != nil {
		return err
	}
	if err := c.confirm("Rename %s to %s? Recent contributions cannot be undone by their source afterwards.", topics[0], topics[1]); err != nil {
		return err
	}
	return c.move("/admin/v1/rename", map[string]string{"from": topics[0], "to": topics[1]})
}

func (c *ownerCommand) mergeTopics() error {
	if c.into == "" {
		return usagef("--into is missing: it names the topic that receives the contributions")
	}
	topics, err := parseTopics(append(slices.Clone(c.args), c.into))
	if err != nil {
		return err
	}
	from, to := topics[:len(c.args)], topics[len(c.args)]
	if err := c.confirm("Merge %s into %s? This cannot be undone. A visitor of several of them counts several times.", nameTopics(from), to); err != nil {
		return err
	}
	return c.move("/admin/v1/merge", map[string]any{"from": from, "to": to})
}

func (c *ownerCommand) move(path string, body any) error {
	var to admin.State
	raw, err := c.call("POST", path, body, &to)
	if err != nil {
		return err
	}
	c.print(raw, "%s is %s", to.Topic, countText(to))
	return nil
}

// nameTopics names one topic, or says how many there are.
func nameTopics(topics []string) string {
	if len(topics) == 1 {
		return topics[0]
	}
	return fmt.Sprintf("%d topics", len(topics))
}

// errNotDone means that the user answered no.
var errNotDone = errors.New("nothing was done")

// confirm asks on the terminal unless --yes is given. Without a terminal --yes is required.
func (c *ownerCommand) confirm(format string, args ...any) error {
	if c.yes {
		return nil
	}
	question := printable(fmt.Sprintf(format, args...))
	if !server.IsTerminal(c.stderr) || !server.IsTerminal(os.Stdin) {
		return usagef("without a terminal the command needs --yes, which answers: %s", question)
	}
	fmt.Fprintf(c.stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n') // an empty answer means no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errNotDone
}
