package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

const topicsDetails = `
These commands call a running service with its --admin-token or with a token of some
sites (tokens create), or work on a store that no service uses (--store). On a terminal
they print tables, elsewhere a line of JSON for each item. Before a change that cannot be
undone they ask for confirmation; without a terminal such a change needs --yes. The HTTP
calls below /admin/v1/ do the same.
`

const topicsExamples = `
Examples:
  tallycast topics list --site blog --order count
  tallycast topics set blog/likes/hello 42
  tallycast topics set blog/rating/hello --options 0,1,2,4,5
  tallycast topics rename blog/likes/helo blog/likes/hello
  tallycast topics spikes --since 24h
  tallycast topics undo blog/likes/hello --from 2h --source 9f86d081
      Shows what it would remove, and asks.
`

// topicsCommands are the commands below topics.
var topicsCommands = []command{
	{name: "list", about: "List topics with their counts.",
		new: ownerAction("list", (*ownerCommand).listTopics, "site", "metric", "prefix", "order", "limit")},
	{name: "show", about: "Show count, seed and adjustment of topics.", takes: "TOPIC…", needs: needsTopics,
		new: ownerAction("show", (*ownerCommand).showTopics)},
	{name: "set", about: "Set the count of a topic.", takes: "TOPIC [N]", needs: "a topic and its count, such as default/likes/hello 42",
		new: ownerAction("set", (*ownerCommand).setCount, "options")},
	{name: "seed", about: "Set the seed of a topic: the number added to its contributions.", takes: "TOPIC [N]", needs: "a topic and its seed, such as default/likes/hello 42",
		new: ownerAction("seed", (*ownerCommand).setSeed, "options")},
	{name: "reset", about: "Set topics to 0; all visitors may contribute again.", takes: "TOPIC…", needs: needsTopics,
		new: ownerAction("reset", (*ownerCommand).resetTopics, "yes")},
	{name: "delete", about: "Delete topics.", takes: "TOPIC…", needs: needsTopics,
		new: ownerAction("delete", (*ownerCommand).deleteTopics, "yes")},
	{name: "rename", about: "Rename a topic; its visitors are still recognised.", takes: "FROM TO", needs: "the topic and its new name",
		new: ownerAction("rename", (*ownerCommand).renameTopic, "yes")},
	{name: "merge", about: "Merge topics into one, with all contributions.", takes: "FROM…", needs: needsTopics,
		new: ownerAction("merge", (*ownerCommand).mergeTopics, "into", "yes")},
	{name: "forget", about: "Remove all contributions of a visitor.", takes: "VISITOR", needs: "one visitor, by the id that its browser keeps, or @ and the sub of a signed visitor",
		new: ownerAction("forget", (*ownerCommand).forgetVisitor, "site", "yes")},
	{name: "block", about: "Block a range of addresses, or a visitor, from contributing.", takes: "[RANGE]", needs: needsBlocked,
		new: ownerAction("block", (*ownerCommand).block, "site", "visitor", "reason")},
	{name: "unblock", about: "End a block.", takes: "[RANGE]", needs: needsBlocked,
		new: ownerAction("unblock", (*ownerCommand).unblock, "site", "visitor")},
	{name: "blocks", about: "List the blocks.",
		new: ownerAction("blocks", (*ownerCommand).listBlocks)},
	{name: "spikes", about: "List unusually fast growth of topics.",
		new: ownerAction("spikes", (*ownerCommand).listSpikes, "site", "metric", "prefix", "since")},
	{name: "undo", about: "Remove recent contributions, after a preview.", takes: "[TOPIC…]",
		new: ownerAction("undo", (*ownerCommand).undo, "site", "metric", "prefix", "from", "to", "source", "address", "repeated", "yes")},
	{name: "audit", about: "Show the audit log, newest entries first.",
		new: ownerAction("audit", (*ownerCommand).listAudit, "limit")},
}

// pruneCommand is not below topics, because it is for regular clean-up.
var pruneCommand = command{name: "prune", about: "Delete topics without recent contributions, after a preview.",
	details: `
It needs --site; --metric and --prefix narrow it to fewer topics of the site.
Window metrics forget their visitors by themselves; their counts stay until they are
pruned.
`, examples: `
Example:
  tallycast prune --site blog --metric views --untouched 365d
`, new: ownerAction("prune", (*ownerCommand).prune, "site", "metric", "prefix", "untouched", "yes")}

// ownerCommand is a command that calls the admin API.
type ownerCommand struct {
	*process
	name    string
	does    func(*ownerCommand) error
	takes   []string     // names of its flags
	client  *adminClient // nil before the first call
	asTable bool         // prints for people, not JSON

	// Values of the flags.
	site, metric, prefix  string
	order                 string
	options               tally.Options
	limit                 int // 0: all
	since, untouched      time.Duration
	into, visitor, reason string
	role, tokenName       string
	sites                 []string // of a token
	from, to              time.Time
	sources               []tally.Source
	addresses             []netip.Addr
	repeated              bool
	yes, asJSON           bool
}

// ownerAction returns a command.new that makes an [ownerCommand] with these flags.
func ownerAction(name string, does func(*ownerCommand) error, flags ...string) func() action {
	return func() action { return &ownerCommand{name: name, does: does, takes: append(flags, "json")} }
}

// maxSpan is the longest time that a command looks back: a hundred years.
const maxSpan = 36_500 * 24 * time.Hour

// parseSpan parses a length of time: 90m, 24h or 7d.
var parseSpan = config.ParseDuration(time.Nanosecond, maxSpan)

func parseSource(text string) (source tally.Source, err error) {
	err = source.UnmarshalText([]byte(text))
	return source, err
}

func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		err = fmt.Errorf("%q should be an address such as 203.0.113.7", text)
	}
	return address, err
}

func (c *ownerCommand) flags() []config.Setting {
	all := []config.Setting{
		{Name: "site", Value: "NAME", Parse: config.IntoText(&c.site), Help: "Only this site."},
		{Name: "metric", Value: "NAME", Parse: config.IntoText(&c.metric), Help: "Only this metric of the site."},
		{Name: "prefix", Value: "TEXT", Parse: config.IntoText(&c.prefix), Help: "Only keys of the metric that begin with TEXT."},
		{Name: "order", Value: "WORD", Default: "topic", Parse: config.Into(&c.order, config.ParseChoice("topic", "newest", "count")),
			Help: "topic (by name), newest (latest change first) or count (highest first)."},
		{Name: "limit", Value: "N", Default: "100", Parse: config.Into(&c.limit, config.ParseLimit), Help: "How many to list; or off."},
		{Name: "options", Value: "N,N", Parse: config.Into(&c.options, tally.ParseOptions), Help: "The number of each option of a choice metric, instead of N, such as 0,1,2,4,5."},
		{Name: "into", Value: "TOPIC", Parse: config.IntoText(&c.into), Help: "The topic that receives the contributions."},
		{Name: "visitor", Value: "ID", Parse: config.IntoText(&c.visitor), Help: "A visitor, instead of a range of addresses; of a signed visitor @ and its sub."},
		{Name: "reason", Value: "TEXT", Parse: config.IntoText(&c.reason), Help: "The reason, for the list of blocks."},
		{Name: "since", Value: "TIME", Default: "1h", Parse: config.Into(&c.since, parseSpan), Help: "How far back, such as 24h or 7d."},
		{Name: "from", Value: "TIME", Parse: config.Into(&c.from, parseTime), Help: "Start: a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h."},
		{Name: "to", Value: "TIME", Parse: config.Into(&c.to, parseTime), Help: "End, in the same forms; now if left out."},
		{Name: "source", Value: "HASH", Repeatable: true, Parse: config.IntoEach(&c.sources, parseSource), Help: "Only from this source, as spikes shows it. Repeatable."},
		{Name: "repeated", Parse: config.Into(&c.repeated, config.ParseBool), Help: "Only from networks that contributed more than once to the topic in this time."},
		{Name: "address", Value: "ADDRESS", Repeatable: true, Parse: config.IntoEach(&c.addresses, parseAddress), Help: "Only from the network of this address. Repeatable."},
		{Name: "untouched", Value: "TIME", Parse: config.Into(&c.untouched, parseSpan), Help: "Time without contributions, such as 365d."},
		{Name: "yes", Parse: config.Into(&c.yes, config.ParseBool), Help: "Do not ask for confirmation."},
		{Name: "json", Parse: config.Into(&c.asJSON, config.ParseBool), Help: "Print lines of JSON on a terminal, too."},
	}
	own := slices.DeleteFunc(all, func(s config.Setting) bool { return !slices.Contains(c.takes, s.Name) })
	if slices.Contains(c.takes, "sites") {
		own = append(c.tokenFlags(), own...)
	}
	// --metric of a store has another meaning here.
	return append(own, slices.DeleteFunc(slices.Clone(targetFlags), func(s config.Setting) bool { return s.Name == "metric" })...)
}

func (c *ownerCommand) run(p *process) error {
	c.process, c.asTable = p, server.IsTerminal(p.stdout) && !c.asJSON
	defer func() {
		if c.client != nil {
			c.client.close()
		}
	}()
	return c.does(c)
}

// parseTopics parses args as topics and returns them in their normal form.
func parseTopics(args []string) ([]string, error) {
	topics := make([]string, len(args))
	for i, text := range args {
		topic, err := tally.ParseTopic(text)
		if err != nil {
			return nil, usagef("%q: %s", text, tally.AsError(err).Message)
		}
		topics[i] = topic.String()
	}
	return topics, nil
}

// scope returns the parameters of the scope that the flags give.
func (c *ownerCommand) scope() url.Values { return scopeQuery(c.site, c.metric, c.prefix) }

// scopeQuery returns the parameters of a scope; empty ones are left out.
func scopeQuery(site, metric, prefix string) url.Values {
	query := url.Values{}
	for name, text := range map[string]string{"site": site, "metric": metric, "prefix": prefix} {
		if text != "" {
			query.Set(name, text)
		}
	}
	return query
}

// call is [adminClient.call]. The first call opens the client, so that errors of the command
// line come first.
func (c *ownerCommand) call(method, path string, in, out any) (answer json.RawMessage, err error) {
	if c.client == nil {
		if c.client, err = c.openClient(storeUse{command: c.name, sites: sitesOf(slices.Concat(c.args, c.sites, []string{c.site, c.into}))}); err != nil {
			return nil, err
		}
	}
	return c.client.call(c.ctx, method, path, in, out)
}

// printJSON prints a line of JSON.
func (c *ownerCommand) printJSON(raw json.RawMessage) {
	_, _ = io.WriteString(c.stdout, strings.TrimSpace(string(raw))+"\n") // the reader of the pipe may have ended
}
