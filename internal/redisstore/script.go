package redisstore

import (
	"embed"
	"fmt"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/redistopology"
	"github.com/tallycast/tallycast/internal/tally"
)

//go:embed script
var sources embed.FS

// includePrefix begins a line of a script that a file of script/part replaces: what several
// scripts share is written once and costs no call.
const includePrefix = "-- include "

func scriptSource(name string) string {
	source, err := sources.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the binary
	}
	var whole strings.Builder
	for line := range strings.Lines(string(source)) {
		if part, ok := strings.CutPrefix(line, includePrefix); ok {
			line = scriptSource("part/" + strings.TrimSuffix(part, "\n"))
		}
		whole.WriteString(line)
	}
	return whole.String()
}

var allScripts []*redistopology.Script

// newScript returns a script whose first argument is a deadline.
func newScript(name string) *redistopology.Script { return addScript(name, true) }

// newUnboundedScript returns a script that may run at any time: it changes nothing, or
// repeating it is harmless.
func newUnboundedScript(name string) *redistopology.Script { return addScript(name, false) }

func addScript(name string, deadline bool) *redistopology.Script {
	script := redistopology.NewScript(name, func() string { return scriptSource(name) }, deadline)
	allScripts = append(allScripts, script)
	return script
}

var (
	applyScript      = newScript("apply")
	amountScript     = newScript("amount")
	chooseScript     = newScript("choose")
	shareScript      = newScript("share")
	reissueScript    = newScript("reissue")
	topScript        = newUnboundedScript("top")
	readGainsScript  = newUnboundedScript("readgains")
	writeGainsScript = newUnboundedScript("writegains")
	topGainsScript   = newUnboundedScript("topgains")
	leaseScript      = newUnboundedScript("lease")

	editScript           = newScript("edit")
	withdrawScript       = newScript("withdraw")
	withdrawAmountScript = newScript("withdrawamount")
	withdrawChoiceScript = newScript("withdrawchoice")
	restoreScript        = newScript("restore")
	restoreAmountScript  = newScript("restoreamount")
	restoreChoiceScript  = newScript("restorechoice")
	dumpScript           = newUnboundedScript("dump")
	dumpAmountScript     = newUnboundedScript("dumpamount")
	directoryScript      = newUnboundedScript("directory")
	eraseScript          = newScript("erase")

	swapScript    = newScript("swap")
	auditScript   = newScript("audit")
	probeScript   = newUnboundedScript("probe")
	readScript    = newUnboundedScript("read")
	compareScript = newUnboundedScript("compare")
	followScript  = newUnboundedScript("follow")
)

// otherMarkReply begins the reply of a script if the topic has another mark, which
// follows.
const otherMarkReply = "-2"

// scriptReply is the reply of scripts that write a topic.
type scriptReply struct {
	change      tally.Change // the stored state
	detail      string       // depends on the script
	unpublished error        // why the publication failed
}

func (s *Store) parseReply(topic tally.Topic, c *redistopology.Call) (reply scriptReply, err error) {
	if c.Err != nil {
		return scriptReply{}, c.Err
	}
	if mark, ok := strings.CutPrefix(c.Text(), otherMarkReply); ok {
		return scriptReply{}, &tally.MarkError{Mark: mark}
	}
	count, rest, _ := strings.Cut(c.Text(), " ")
	version, rest, _ := strings.Cut(rest, " ")
	detail, why, failed := strings.Cut(rest, " ")
	reply.change.Topic = topic
	var err1, err2 error
	reply.change.Count, reply.change.Options, err1 = parseNumbers(s.catalog.Rule(topic), count)
	reply.change.Version, err2 = strconv.ParseInt(version, 10, 64)
	reply.detail = detail
	if err1 != nil || err2 != nil || detail == "" {
		return scriptReply{}, unexpectedReply(c)
	}
	if failed {
		reply.unpublished = fmt.Errorf("stored, but Redis refused to publish it: %s", why)
	}
	return reply, nil
}

func unexpectedReply(c *redistopology.Call) error {
	return fmt.Errorf("unexpected reply of the script %s: %v", c.Script().Name, c.Reply)
}
