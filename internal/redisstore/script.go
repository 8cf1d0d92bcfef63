package redisstore

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tallycast/tallycast/internal/tally"
)

//go:embed script
var sources embed.FS

// script is a Lua script that Redis keeps under the hash of its source.
type script struct {
	name   string
	source string
	hash   string
}

// include is a line of a script in whose place a part stands, so that what several
// scripts do is written once and costs no call.
var include = regexp.MustCompile(`(?m)^-- include (\w+)$`)

func newScript(name string) *script {
	source := readSource(name)
	sum := sha1.Sum([]byte(source))
	return &script{name: name, source: source, hash: hex.EncodeToString(sum[:])}
}

func readSource(name string) string {
	source, err := sources.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err) // the file is part of the binary
	}
	return include.ReplaceAllStringFunc(string(source), func(line string) string {
		return readSource("part/" + include.FindStringSubmatch(line)[1])
	})
}

var (
	applyScript   = newScript("apply")
	amountScript  = newScript("amount")
	shareScript   = newScript("share")
	reissueScript = newScript("reissue")
	topScript     = newScript("top")
	checkScript   = newScript("check")

	editScript          = newScript("edit")
	takeScript          = newScript("take")
	takeAmountScript    = newScript("takeamount")
	restoreScript       = newScript("restore")
	restoreAmountScript = newScript("restoreamount")
	walkScript          = newScript("walk")
	walkAmountScript    = newScript("walkamount")
	directoryScript     = newScript("directory")
	forgetScript        = newScript("forget")

	markScript     = newScript("mark")
	ruleScript     = newScript("rule")
	registerScript = newScript("register")
	auditScript    = newScript("audit")
	pulseScript    = newScript("pulse")

	allScripts = []*script{
		applyScript, amountScript, shareScript, reissueScript, topScript, checkScript,
		editScript, takeScript, takeAmountScript, restoreScript, restoreAmountScript, walkScript, walkAmountScript,
		directoryScript, forgetScript, ruleScript, markScript, registerScript, auditScript, pulseScript,
	}
)

// load hands all scripts to the node.
func (n *node) load(ctx context.Context) error {
	pipe := n.client.Pipeline()
	for _, script := range allScripts {
		pipe.ScriptLoad(ctx, script.source)
	}
	if err := exec(ctx, pipe); err != nil {
		return fmt.Errorf("load scripts: %w", err)
	}
	return nil
}

// call is one run of a script. Where it is fenced, its first argument is set to
// the deadline.
type call struct {
	script  *script
	fenced  bool
	durable bool   // acknowledged only when as many replicas have it as are waited for
	key     string // the first of its keys
	args    []any  // "evalsha", hash, number of keys, keys…, arguments…
	fence   int    // index in args of the first argument
	// day, where not 0, is the index in args of a key that is dayOf and the number of
	// a day, which run appends: today in the node's clock, or tomorrow for as long before
	// midnight as the call may take.
	day   int
	dayOf string
	// days is how many keys end in days: this and those before.
	days int
	way  way // set by run

	// Set by run: one of the first two.
	reply any
	err   error
	// unsure says that Redis may have the call, or get it yet, though it did not
	// answer.
	unsure bool
}

// newCall returns a call whose arguments, but for the deadline of a fenced one,
// are appended to args.
func newCall(script *script, fenced bool, keys ...string) call {
	args := make([]any, 0, 3+len(keys)+8)
	args = append(args, "evalsha", script.hash, len(keys))
	for _, key := range keys {
		args = append(args, key)
	}
	c := call{script: script, fenced: fenced, key: keys[0], fence: len(args)}
	if fenced {
		args = append(args, "")
	}
	c.args = args
	return c
}

const (
	// rounds is how often calls are sent that Redis neither ran nor refused: where it
	// lost the scripts, its clock was set anew, or a connection could not be made in
	// the time that one may take.
	rounds = 4
	// spare is what must be left of the time for a further round to be of use.
	spare = 5 * time.Millisecond
	// betweenRounds bounds it where keys of a topic are on their way to another node:
	// half a second, so that a topic that is stuck between two does not hold up the
	// lane that it shares.
	betweenRounds = 50
)

var errLate = errors.New("the deadline passed in Redis's clock")

// run sends the calls, in one pipeline to each node, and fills in each one's reply
// or error. It returns by ctx's deadline; no fenced call has an effect after it.
func (s *Store) run(ctx context.Context, calls []call) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c := s.fleet.chart()
	todo := make([]int, 0, len(calls))
	for i := range calls {
		if calls[i].way.to = c.of(calls[i].key); calls[i].way.to == nil {
			calls[i].err = errNoNode
			continue
		}
		todo = append(todo, i)
	}
	for round := 1; len(todo) > 0; round++ {
		var soon bool
		if todo, soon = s.runRound(ctx, calls, todo); len(todo) == 0 {
			return
		}
		end, _ := ctx.Deadline()
		if round >= rounds && !soon || round >= betweenRounds || ctx.Err() != nil || time.Until(end) < spare {
			break // each has the error of its last round
		}
		if soon && !sleep(ctx, betweenKeys) {
			break
		}
	}
	s.outlast(ctx, calls)
}

// outlast waits for the deadline where a call that failed may still be on its way:
// once it has passed, the call has no effect any more, so that whoever is told of
// the failure is told the truth.
func (s *Store) outlast(ctx context.Context, calls []call) {
	for i := range calls {
		if calls[i].unsure && calls[i].err != nil {
			<-ctx.Done()
			return
		}
	}
}

// unanswered tells whether err leaves open if Redis got what was sent: it is
// neither an answer nor a connection that could not be made.
func unanswered(err error) bool {
	var answered redis.Error
	var network *net.OpError
	return err != nil && !errors.As(err, &answered) &&
		!(errors.As(err, &network) && network.Op == "dial") && !errors.Is(err, redis.ErrPoolTimeout)
}

// runRound sends those calls whose indexes are in todo, to all their nodes at the
// same time, and returns those that are worth another round.
func (s *Store) runRound(ctx context.Context, calls []call, todo []int) (again []int, soon bool) {
	one, same := calls[todo[0]].way.to, true
	for _, i := range todo {
		same = same && calls[i].way.to == one
	}
	if same {
		again = one.runOnce(ctx, calls, todo)
	} else {
		byNode := map[*node][]int{}
		for _, i := range todo {
			byNode[calls[i].way.to] = append(byNode[calls[i].way.to], i)
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		for n, its := range byNode {
			all.Go(func() {
				left := n.runOnce(ctx, calls, its)
				mu.Lock()
				defer mu.Unlock()
				again = append(again, left...)
			})
		}
		all.Wait()
	}
	for _, i := range again {
		soon = soon || calls[i].way.soon
	}
	return again, soon
}

// runOnce sends calls to the node in one pipeline.
func (n *node) runOnce(ctx context.Context, calls []call, todo []int) (again []int) {
	s := n.store
	deadline, err := n.deadline(ctx)
	if err != nil {
		s.doubt(err)
		for _, i := range todo {
			calls[i].err = err
		}
		if hasty(ctx, err) {
			return todo
		}
		return nil
	}
	var fence any = strconv.FormatInt(deadline, 10)
	today := dayOf(deadline)
	todayText := strconv.FormatInt(today, 10)
	pipe := n.client.Pipeline()
	commands := make([]*redis.Cmd, len(todo))
	durable := false
	for j, i := range todo {
		c := &calls[i]
		if c.fenced {
			c.args[c.fence] = fence
		}
		if c.day != 0 {
			c.args[c.day] = c.dayOf + todayText
			for back := 1; back < c.days; back++ {
				c.args[c.day+back] = c.dayOf + strconv.FormatInt(today-int64(back), 10)
			}
		}
		if c.way.asking {
			pipe.Do(ctx, "asking")
		}
		commands[j] = pipe.Do(ctx, c.args...)
		durable = durable || c.durable
	}
	var replicated *redis.IntCmd
	if durable && s.target.wait > 0 {
		replicated = n.wait(ctx, pipe)
	}
	_ = exec(ctx, pipe) // each command has its own error
	lost, late := false, false
	for j, i := range todo {
		c := &calls[i]
		c.reply, c.err = commands[j].Result()
		c.unsure = c.fenced && (c.unsure || unanswered(c.err))
		if c.err == nil && !c.fenced {
			continue
		}
		switch w, sent := s.fleet.elsewhere(n, c.err); {
		case sent:
			c.way = w
			again = append(again, i)
		case c.err != nil && redis.HasErrorPrefix(c.err, "NOSCRIPT"):
			lost = true
			again = append(again, i)
		case hasty(ctx, c.err):
			again = append(again, i)
		case c.unsure && c.err != nil && ctx.Err() == nil:
			s.doubt(c.err)
			c.way.soon = true // it counts once however often it arrives
			again = append(again, i)
		case c.err == nil && c.reply == tooLate:
			c.reply, c.err = nil, errLate
			late = true
			again = append(again, i)
		case c.err != nil:
			s.doubt(c.err)
		case strings.HasPrefix(replyText(c.reply), otherMark):
			c.reply, c.err = nil, &tally.MarkError{Mark: replyText(c.reply)[len(otherMark):]}
		case c.durable && replicated != nil:
			c.err = s.replicated(replicated)
		}
	}
	if late {
		n.clock.forget()
	}
	if lost {
		s.stats.scriptReloads.Add(1)
		if err := n.load(ctx); err != nil {
			for _, i := range again {
				calls[i].err = err
			}
			return nil
		}
	}
	return again
}

// hasty tells whether a part of the way had less time than ctx still has.
func hasty(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

// tooLate is what a script answers when its deadline has passed.
const tooLate = "-1"

// otherMark begins what a script answers when the topic has another mark; the mark
// follows.
const otherMark = "-2"

// replyText returns a reply that is a text, and else the empty text.
func replyText(reply any) string {
	text, _ := reply.(string)
	return text
}

// bounded returns ctx with a deadline, its own or [patience].
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, patience)
}

// state is what the scripts that write return: count and version, then a third
// value of their own, and why the publication failed.
type state struct {
	count, version int64
	third          string
	unpublished    error
}

func (c *call) state() (st state, err error) {
	if c.err != nil {
		return state{}, c.err
	}
	reply, _ := c.reply.(string)
	count, rest, _ := strings.Cut(reply, " ")
	version, rest, _ := strings.Cut(rest, " ")
	third, why, failed := strings.Cut(rest, " ")
	var err1, err2 error
	st.count, err1 = strconv.ParseInt(count, 10, 64)
	st.version, err2 = strconv.ParseInt(version, 10, 64)
	st.third = third
	if err1 != nil || err2 != nil || third == "" {
		return state{}, fmt.Errorf("script %s answered %v", c.script.name, c.reply)
	}
	if failed {
		st.unpublished = fmt.Errorf("stored, but Redis refused to publish it: %s", why)
	}
	return st, nil
}
