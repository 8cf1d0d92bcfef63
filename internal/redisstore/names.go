package redisstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/tallycast/tallycast/internal/tally"
)

// layoutVersion is the version of the layout that the package comment describes. A store
// with another version is a conflict.
const layoutVersion = "1"

// validPrefix excludes braces, which make hash tags, and glob characters.
var validPrefix = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// names returns the names of keys and channels.
type names struct {
	prefix   string // ends in a colon
	database string // begins with a colon; part of channels, since Pub/Sub ignores databases
}

func newNames(prefix string, database int) (names, error) {
	if !validPrefix.MatchString(prefix) {
		return names{}, fmt.Errorf("redis prefix %q: it must be 1 to 64 of A-Z a-z 0-9 _ . : -", prefix)
	}
	return names{prefix: prefix + ":", database: ":" + strconv.Itoa(database)}, nil
}

func (n names) tagged(tag, kind string) string   { return n.prefix + "{" + tag + "}" + kind }
func (n names) count(topic tally.Topic) string   { return n.tagged(topic.String(), countKind) }
func (n names) members(topic tally.Topic) string { return n.tagged(topic.String(), membersKind) }
func (n names) deleted(topic tally.Topic) string { return n.tagged(topic.String(), ":ended") }
func (n names) shares(topic tally.Topic) string  { return n.tagged(topic.String(), ":shares") }
func (n names) hours(topic tally.Topic) string   { return n.tagged(topic.String(), hoursKind) }
func (n names) days(topic tally.Topic) string    { return n.tagged(topic.String(), daysKind) }

// journal returns the name of a topic's journal up to the number of the day.
func (n names) journal(topic tally.Topic) string { return n.tagged(topic.String(), journalKind) }
func (n names) channel(topic tally.Topic) string { return n.tagged(topic.String(), n.database) }

func (n names) dayJournal(topic tally.Topic, day int64) string {
	return n.journal(topic) + strconv.FormatInt(day, 10)
}

// appendCount appends the name of a topic's count.
func (n names) appendCount(dst []byte, topic tally.Topic) []byte {
	dst = append(append(dst, n.prefix...), '{')
	return append(append(dst, topic.String()...), "}"+countKind...)
}

const (
	countKind   = ":count"
	membersKind = ":members"
	hoursKind   = ":hours"
	daysKind    = ":days"
	journalKind = ":journal:"
)

// writeTexts are the names that a write to a topic needs, and the head of its frames.
type writeTexts struct {
	keys    [5]string // count, members, hours, days; room for the journal of a day
	journal string    // up to the number of the day
	channel string
	head    string
}

// forWrite returns the texts of topic.
func (n names) forWrite(topic tally.Topic) *writeTexts {
	w, all := &writeTexts{}, strings.Builder{}
	all.Grow(n.sizeForWrite(topic))
	n.setForWrite(w, &all, topic)
	return w
}

// sizeForWrite returns the bytes of the texts of topic, or a few less.
func (n names) sizeForWrite(topic tally.Topic) int {
	const kinds, frameHead = 6, 24
	return kinds*(len(n.prefix)+len("{}")+len(journalKind)+len(topic.String())) + frameHead + len(topic.String())
}

// writeTagged appends the name of a kind of key of topic to all.
func (n names) writeTagged(all *strings.Builder, topic tally.Topic, kind string) {
	all.WriteString(n.prefix)
	all.WriteByte('{')
	all.WriteString(topic.String())
	all.WriteByte('}')
	all.WriteString(kind)
}

// setForWrite sets w to the texts of topic, and appends their bytes to all.
func (n names) setForWrite(w *writeTexts, all *strings.Builder, topic tally.Topic) {
	kinds := [...]string{countKind, membersKind, hoursKind, daysKind, journalKind, n.database}
	texts := [...]*string{&w.keys[0], &w.keys[1], &w.keys[2], &w.keys[3], &w.journal, &w.channel}
	for i, kind := range kinds {
		begin := all.Len()
		n.writeTagged(all, topic, kind)
		*texts[i] = all.String()[begin:]
	}
	var buffer [320]byte // a topic's head fits
	begin := all.Len()
	all.Write(tally.AppendFrameHead(buffer[:0], topic))
	w.head = all.String()[begin:]
}

// channelTopic returns the text of the topic that channel belongs to.
func (n names) channelTopic(channel string) (text string, ok bool) {
	return cutTag(channel, n.prefix, n.database)
}

// countTopic returns the text of the topic that key has the count of.
func (n names) countTopic(key string) (text string, ok bool) {
	return cutTag(key, n.prefix, countKind)
}

// countPattern matches the keys of the counts in scope, and possibly others.
func (n names) countPattern(scope tally.Scope) string { return n.pattern(scope) + "}" + countKind }

// journalPattern matches the keys of the journals in scope, and possibly others.
func (n names) journalPattern(scope tally.Scope) string {
	return n.pattern(scope) + "}" + journalKind + "*"
}

func (n names) pattern(scope tally.Scope) string {
	pattern := n.prefix + "{"
	if scope.Site != "" {
		pattern += scope.Site + "/"
		if scope.Metric != "" {
			pattern += scope.Metric + "/" + globEscaper.Replace(scope.Prefix)
		}
	}
	return pattern + "*"
}

// globEscaper escapes the characters that have a meaning in patterns.
var globEscaper = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// journalTopic returns the text of the topic and the day that key has the journal of.
func (n names) journalTopic(key string) (text string, day int64, ok bool) {
	at := strings.LastIndexByte(key, ':') + 1
	day, err := strconv.ParseInt(key[at:], 10, 64)
	text, ok = cutTag(key[:at], n.prefix, journalKind)
	return text, day, ok && err == nil
}

func cutTag(name, prefix, suffix string) (string, bool) {
	name, ok := strings.CutPrefix(name, prefix+"{")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}"+suffix)
}

// siteMetric is a metric of a site. It has a leaderboard and gains.
type siteMetric struct{ site, metric string }

func metricOf(topic tally.Topic) siteMetric { return siteMetric{topic.Site(), topic.Metric()} }

func (n names) top(b siteMetric) string         { return n.prefix + "top:{" + b.site + "/" + b.metric + "}" }
func (n names) topVersions(b siteMetric) string { return n.top(b) + ":versions" }

func (n names) directory(site string) string  { return n.prefix + "topics:{" + site + "}" }
func (n names) topicNames(site string) string { return n.prefix + "names:{" + site + "}" }

func (n names) broadcast() string { return n.prefix + "gossip" + n.database }
func (n names) layout() string    { return n.prefix + "layout" }
func (n names) secret() string    { return n.prefix + "secret" }
func (n names) rules() string     { return n.prefix + "rules" }
func (n names) seedMark() string  { return n.prefix + "seeded" }
func (n names) settings() string  { return n.prefix + "register" }
func (n names) audit() string     { return n.prefix + "audit" }
func (n names) usage() string     { return n.prefix + "usage" }

func (n names) lease(name string) string { return n.prefix + "lease:" + name }

// activity has the hash tag of heartbeats, because one script writes both.
func (n names) heartbeats() string         { return n.prefix + "{pulses}" }
func (n names) activity(day string) string { return n.prefix + "{pulses}:activity:" + day }

func (n names) probe(instance string) string { return n.prefix + "probe:" + instance + n.database }

// scratchKeys are keys and a channel for checks, all with one hash tag.
type scratchKeys struct{ hash, sorted, other, probe, channel string }

// scratch returns the i-th scratch keys of an instance.
func (n names) scratch(instance string, i int) scratchKeys {
	tag := "check/" + instance
	if i > 0 {
		tag += "/" + strconv.Itoa(i)
	}
	return scratchKeys{
		hash: n.tagged(tag, ":hash"), sorted: n.tagged(tag, ":sorted"), other: n.tagged(tag, ":other"),
		probe: n.tagged(tag, ":probe"), channel: n.tagged(tag, n.database),
	}
}
