package cli

import (
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

const topicsDetails = `
Each of these commands calls a running service with its --admin-token, or works on a
store that --store, TALLYCAST_STORE or the configuration file names and that no service
uses. On a terminal they print tables, elsewhere a line of JSON for each item. They ask
for confirmation before a change that cannot be undone; without a terminal such a change
needs --yes. The HTTP calls below /admin/v1/ do the same.
`

const topicsExamples = `
Examples:
  tallycast topics list --site blog --order count
  tallycast topics set blog/likes/hello 42
  tallycast topics rename blog/likes/helo blog/likes/hello
  tallycast topics spikes --since 24h
  tallycast topics undo blog/likes/hello --from 2h --source 9f86d081
      Shows what it would take back, and asks.
`

var (
	jsonFlag = config.Setting{Name: "json", Help: "Print lines of JSON on a terminal, too."}
	yesFlag  = config.Setting{Name: "yes", Help: "Do not ask."}

	siteFlag   = config.Setting{Name: "site", Value: "NAME", Help: "Only this site."}
	metricFlag = config.Setting{Name: "metric", Value: "NAME", Help: "Only this metric of the site."}
	prefixFlag = config.Setting{Name: "prefix", Value: "TEXT", Help: "Only keys of the metric that begin like this."}
	scopeFlags = []config.Setting{siteFlag, metricFlag, prefixFlag}

	limitFlag   = config.Setting{Name: "limit", Value: "N", Default: "100", Help: "How many; or off."}
	visitorFlag = config.Setting{Name: "visitor", Value: "ID", Help: "A visitor, instead of a range of addresses."}
)

// topicsCommands are the commands below topics.
var topicsCommands = []command{
	newOwnerCommand("list", "List topics with their counts.", "", listTopics, append(slices.Clone(scopeFlags),
		config.Setting{Name: "order", Value: "WORD", Default: "topic", Help: "topic (by name), newest (latest change first) or count (highest first)."},
		limitFlag)...),
	newOwnerCommand("show", "Show count, seed and adjustment of topics.", "TOPIC…", showTopics),
	newOwnerCommand("set", "Set the count of a topic.", "TOPIC N", setTopic),
	newOwnerCommand("seed", "Set the seed of a topic: the number added to its contributions.", "TOPIC N", setSeed),
	newOwnerCommand("reset", "Set topics to 0; all visitors may contribute again.", "TOPIC…", resetTopics, yesFlag),
	newOwnerCommand("delete", "Delete topics.", "TOPIC…", deleteTopics, yesFlag),
	newOwnerCommand("rename", "Rename a topic; its visitors are still recognised.", "FROM TO", renameTopic, yesFlag),
	newOwnerCommand("merge", "Merge topics into one, with all contributions.", "FROM…", mergeTopics,
		config.Setting{Name: "into", Value: "TOPIC", Help: "The topic that receives the contributions."}, yesFlag),
	newOwnerCommand("forget", "Take back all contributions of a visitor.", "VISITOR", forgetVisitor, siteFlag, yesFlag),
	newOwnerCommand("block", "Block a range of addresses, or a visitor, from contributing.", "[RANGE]", block, visitorFlag,
		config.Setting{Name: "reason", Value: "TEXT", Help: "The reason, for the list of blocks."}),
	newOwnerCommand("unblock", "End a block.", "[RANGE]", unblock, visitorFlag),
	newOwnerCommand("blocks", "List the blocks.", "", listBlocks),
	newOwnerCommand("spikes", "List unusually fast growth of topics.", "", listSpikes, append(slices.Clone(scopeFlags),
		config.Setting{Name: "since", Value: "TIME", Default: "1h", Help: "How far back, such as 24h or 7d."})...),
	newOwnerCommand("undo", "Take back recent contributions, after a preview.", "[TOPIC…]", undo, append(slices.Clone(scopeFlags),
		config.Setting{Name: "from", Value: "TIME", Help: "Start: a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h."},
		config.Setting{Name: "to", Value: "TIME", Help: "End, in the same forms; now if left out."},
		config.Setting{Name: "source", Value: "HASH", Repeatable: true, Help: "Only from this source, as spikes shows it. Repeatable."},
		config.Setting{Name: "address", Value: "ADDRESS", Repeatable: true, Help: "Only from the network of this address. Repeatable."}, yesFlag)...),
	newOwnerCommand("audit", "Show the audit log, newest entries first.", "", listAudit, limitFlag),
}

// pruneCommand is not below topics, because it is for regular clean-up.
var pruneCommand = func() command {
	c := newOwnerCommand("prune", "Delete topics without recent contributions, after a preview.", "", prune, append(slices.Clone(scopeFlags),
		config.Setting{Name: "untouched", Value: "TIME", Help: "Time without contributions, such as 365d."}, yesFlag)...)
	c.details = "\nFlags limit it to the topics of one site, of one metric, or with keys that begin alike.\nWindow metrics forget their visitors by themselves; their counts stay until they are\npruned.\n"
	c.examples = "\nExample:\n  tallycast prune --site blog --metric views --untouched 365d\n"
	return c
}()

// topicsStoreFlags are [storeFlags] without --metric, which has another meaning here.
var topicsStoreFlags = append([]config.Setting{storeFlag}, settingsNamed("redis-prefix", "secret", "secret-file", "config")...)

// newOwnerCommand returns a command that calls the admin API.
func newOwnerCommand(name, about, takes string, run func(*ownerCommand) error, flags ...config.Setting) command {
	flags = slices.Concat(flags, []config.Setting{jsonFlag}, adminFlags, topicsStoreFlags)
	return command{name: name, about: about, takes: takes, flags: flags, run: func(p *process) error {
		return runOwnerCommand(p, name, p.reader(flags), run)
	}}
}

// ownerCommand is one run of such a command.
type ownerCommand struct {
	*process
	reader  *config.Reader // of the flags
	client  *adminClient
	asTable bool // prints for people, not JSON
}

func runOwnerCommand(p *process, name string, reader *config.Reader, run func(*ownerCommand) error) error {
	asJSON := config.Read(reader, "json", config.ParseBool)
	client, err := p.openClient(localStore{command: name, sites: sitesOf(slices.Concat(p.args, p.flags["site"], p.flags["into"]))})
	if err != nil {
		return err
	}
	defer client.close()
	return run(&ownerCommand{process: p, reader: reader, client: client, asTable: server.IsTerminal(p.stdout) && !asJSON})
}

// checkFlags returns the errors of the flags that were read.
func (c *ownerCommand) checkFlags() error {
	if err := c.reader.Problems.Err(); err != nil {
		return usageError{err}
	}
	return nil
}

// parseTopics parses args, at least one, as topics.
func parseTopics(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usagef("name at least one topic, such as default/likes/hello")
	}
	topics := make([]string, len(args))
	for i, text := range args {
		topic, err := tally.ParseTopic(text)
		if err != nil {
			return nil, usagef("%q: %s", text, tally.AsError(err).Message)
		}
		topics[i] = topic.String() // in the form of the service
	}
	return topics, nil
}

// needArguments returns an error unless there are n arguments; what describes them.
func (c *ownerCommand) needArguments(n int, what string) error {
	if len(c.args) != n {
		return usagef("name %s", what)
	}
	return nil
}

// scope returns the parameters of the scope that the flags give.
func (c *ownerCommand) scope() url.Values {
	query := url.Values{}
	for _, flag := range scopeFlags {
		if text := c.reader.Text(flag.Name); text != "" {
			query.Set(flag.Name, text)
		}
	}
	return query
}

// call is [adminClient.call]. It also returns the answer as it came.
func (c *ownerCommand) call(method, path string, in, out any) (json.RawMessage, error) {
	var raw json.RawMessage
	if err := c.client.call(c.ctx, method, path, in, &raw); err != nil {
		return nil, err
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, c.client.unreadable(err)
		}
	}
	return raw, nil
}

// printJSON prints a line of JSON.
func (c *ownerCommand) printJSON(raw json.RawMessage) {
	_, _ = io.WriteString(c.stdout, strings.TrimSpace(string(raw))+"\n") // the reader of the pipe may have ended
}
