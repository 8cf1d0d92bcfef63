package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

const topicsDetails = `
Each of these asks a running service, with the token that its --admin-token is, or
works on a store that --store, TALLYCAST_STORE or the configuration file names and
that no service holds. On a terminal it shows tables, elsewhere a line of JSON for
each thing. What cannot be taken back is asked about first, or needs --yes where
nobody can be asked. All of it can be called by HTTP below /admin/v1/, too.
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
	jsonFlag = config.Setting{Name: "json", Help: "Lines of JSON on a terminal, too."}
	yesFlag  = config.Setting{Name: "yes", Help: "Do it without asking."}

	siteFlag   = config.Setting{Name: "site", Value: "NAME", Help: "Of this site alone."}
	metricFlag = config.Setting{Name: "metric", Value: "NAME", Help: "Of this metric of the site alone."}
	prefixFlag = config.Setting{Name: "prefix", Value: "TEXT", Help: "Of keys of the metric that begin so."}
	scopeFlags = []config.Setting{siteFlag, metricFlag, prefixFlag}

	visitorFlag = config.Setting{Name: "visitor", Value: "ID", Help: "A visitor, instead of a range of addresses."}
)

// topicsCommands are what is done to topics.
var topicsCommands = []command{
	owning("list", "List topics with their counts.", "", listTopics, slices.Concat(scopeFlags, []config.Setting{
		{Name: "order", Value: "WORD", Default: "topic", Help: "topic (by name), newest (the one that changed last first) or count (the highest first)."},
		{Name: "limit", Value: "N", Default: "100", Help: "How many; or off."},
	})...),
	owning("show", "Show what the counts of topics are made of.", "TOPIC…", showTopics),
	owning("set", "Set the count of a topic, whoever contributed.", "TOPIC N", setTopic),
	owning("seed", "Set what is added to the contributions of a topic.", "TOPIC N", setSeed),
	owning("reset", "Set topics to 0; everybody may contribute anew.", "TOPIC…", resetTopics, yesFlag),
	owning("delete", "End topics, as if nobody had touched them.", "TOPIC…", deleteTopics, yesFlag),
	owning("rename", "Give a topic another name; who contributed stays known.", "FROM TO", renameTopic, yesFlag),
	owning("merge", "Make topics one; what was acknowledged stays.", "FROM…", mergeTopics,
		config.Setting{Name: "into", Value: "TOPIC", Help: "The topic that they become."}, yesFlag),
	owning("forget", "Take back all that a visitor contributed.", "VISITOR", forgetVisitor, siteFlag, yesFlag),
	owning("block", "Keep a range of addresses, or a visitor, from contributing.", "[RANGE]", block, visitorFlag,
		config.Setting{Name: "reason", Value: "TEXT", Help: "Why, for whoever looks later."}),
	owning("unblock", "End a block.", "[RANGE]", unblock, visitorFlag),
	owning("blocks", "List who may not contribute.", "", listBlocks),
	owning("spikes", "List what looks unlike visitors.", "", listSpikes, append(slices.Clone(scopeFlags),
		config.Setting{Name: "since", Value: "TIME", Default: "1h", Help: "How far back, such as 24h or 7d."})...),
	owning("undo", "Take back recent contributions, after a look.", "[TOPIC…]", undo, append(slices.Clone(scopeFlags),
		config.Setting{Name: "from", Value: "TIME", Help: "Since when: a time such as 2026-11-22T10:00:00Z, or how long ago, such as 2h."},
		config.Setting{Name: "to", Value: "TIME", Help: "Until when, in the same forms; now if left out."},
		config.Setting{Name: "source", Value: "HASH", Repeatable: true, Help: "From this source alone, as spikes shows it. Repeatable."},
		config.Setting{Name: "address", Value: "ADDRESS", Repeatable: true, Help: "From the network of this address alone. Repeatable."}, yesFlag)...),
	owning("audit", "Show what was done to the numbers, the newest first.", "", listAudit,
		config.Setting{Name: "limit", Value: "N", Default: "100", Help: "How many; or off."}),
}

// pruneCommand stands beside topics: it is for every so often, not for mending.
var pruneCommand = func() command {
	c := owning("prune", "End topics that nobody touched for long, after a look.", "", prune, append(slices.Clone(scopeFlags),
		config.Setting{Name: "untouched", Value: "TIME", Help: "For how long nobody touched them, such as 365d."}, yesFlag)...)
	c.details = "\nThose of one site, or of a metric of it, or of keys that begin alike. Window metrics\nforget by themselves who contributed; their counts stay until they are pruned.\n"
	c.examples = "\nExample:\n  tallycast prune --site blog --metric views --untouched 365d\n"
	return c
}()

// topicsStoreFlags are [storeFlags] without --metric, which names the metric of topics here.
var topicsStoreFlags = append([]config.Setting{storeFlag}, settingsNamed("redis-prefix", "secret", "secret-file", "config")...)

// owning returns a subcommand that does what an owner may do.
func owning(name, about, takes string, run func(*mending) error, flags ...config.Setting) command {
	flags = slices.Concat(flags, []config.Setting{jsonFlag}, adminFlags, topicsStoreFlags)
	return command{name: name, about: about, takes: takes, flags: flags, run: func(p *process) int { return mend(p, name, flags, run) }}
}

// mending is one run of such a subcommand.
type mending struct {
	*process
	ctx    context.Context
	values map[string]config.Value
	read   *config.Reader
	client *adminClient
	table  bool // people read what is shown
}

func mend(p *process, name string, flags []config.Setting, run func(*mending) error) int {
	values := config.Resolve(flags, p.flags, p.env, config.File{})
	m := &mending{process: p, ctx: p.ctx, values: values, read: &config.Reader{Values: values}}
	asJSON := config.Read(m.read, "json", config.ParseBool)
	m.table = server.IsTerminal(p.stdout) && !asJSON
	client, err := p.openClient(localStore{command: name, sites: sitesOf(slices.Concat(p.args, p.flags["site"], p.flags["into"]))})
	if err == nil {
		defer client.close()
		m.client = client
		err = run(m)
	}
	if err != nil {
		return fail(p.stderr, exitCode(err), err)
	}
	return exitOK
}

// flag returns the text of a flag that is read by the service; empty where it is not given.
func (m *mending) flag(name string) string {
	return config.Read(m.read, name, func(text string) (string, error) { return text, nil })
}

// texts returns those of a repeatable flag.
func (m *mending) texts(name string) []string {
	return config.ReadList(m.read, name, func(items []string) ([]string, error) { return items, nil })
}

// wrong returns the errors of the flags that were read.
func (m *mending) wrong() error {
	if err := m.read.Problems.Err(); err != nil {
		return usageError{err}
	}
	return nil
}

// topics reads the arguments as topics, at least one.
func (m *mending) topics(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, usageError{errors.New("name at least one topic, such as default/likes/hello")}
	}
	topics := make([]string, len(args))
	for i, text := range args {
		topic, err := tally.ParseTopic(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q: %s", text, tally.AsError(err).Message)}
		}
		topics[i] = topic.String() // as the service calls it
	}
	return topics, nil
}

// exactly returns usage unless there are n arguments.
func (m *mending) exactly(n int, what string) error {
	if len(m.args) != n {
		return usageError{fmt.Errorf("name %s", what)}
	}
	return nil
}

// scope returns the parameters of a scope, as far as one is given.
func (m *mending) scope() url.Values {
	query := url.Values{}
	for _, name := range []string{"site", "metric", "prefix"} {
		if text := m.flag(name); text != "" {
			query.Set(name, text)
		}
	}
	return query
}

// call is [adminClient.call], and returns the answer as it came, too.
func (m *mending) call(method, path string, in, out any) (json.RawMessage, error) {
	var raw json.RawMessage
	if err := m.client.call(m.ctx, method, path, in, &raw); err != nil {
		return nil, err
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			return nil, m.client.unreadable(err)
		}
	}
	return raw, nil
}

// line writes a line of JSON.
func (m *mending) line(raw json.RawMessage) {
	_, _ = io.WriteString(m.stdout, strings.TrimSpace(string(raw))+"\n") // nobody is left to be told where the pipe is gone
}
