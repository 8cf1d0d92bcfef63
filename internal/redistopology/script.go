package redistopology

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script, which Redis caches under the hash of its source.
//
// Its replies are texts. After a reply that begins with "-", the script wrote nothing. "-1"
// means that its deadline had passed.
type Script struct {
	Name string

	text     func() *scriptText
	deadline bool
}

type scriptText struct{ source, hash string }

// NewScript returns a script. It calls source when the script is first used, so that a process
// without Redis does not build it. If the script has a deadline, its first argument is the time
// until which it may write, in microseconds of the node's clock.
func NewScript(name string, source func() string, deadline bool) *Script {
	return &Script{Name: name, deadline: deadline, text: sync.OnceValue(func() *scriptText {
		text := source()
		return &scriptText{source: text, hash: redis.NewScript(text).Hash()}
	})}
}

// AppendLoad adds the command to pipe that loads the script.
func (s *Script) AppendLoad(ctx context.Context, pipe redis.Pipeliner) *redis.StringCmd {
	return pipe.ScriptLoad(ctx, s.text().source)
}

// AppendCall adds one call of a script without a deadline to pipe. Unlike a [Call] it is not
// repeated, and goes to the node of the pipeline.
func (s *Script) AppendCall(ctx context.Context, pipe redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
	return pipe.EvalSha(ctx, s.text().hash, keys, args...)
}

// lateReply is the reply of a script whose deadline had passed.
const lateReply = "-1"

var errLate = errors.New("the deadline had passed in Redis's clock")

// Call is one call of a script.
type Call struct {
	// Durable makes the call succeed only if wait=N replicas, as in the URL, have the write.
	Durable bool
	// Until, unless 0, is the last time at which a script with a deadline may write, in
	// microseconds of the node's clock.
	Until int64

	// Set by [Topology.Call].
	Reply any
	Err   error

	script   *Script
	node     *Node
	args     []any // EVALSHA, hash, number of keys, keys, arguments
	firstArg int   // index in args of the first argument

	// The last keys are dayPrefix and the number of a day.
	dayKeys   []string
	dayPrefix string

	// Index and number of the optional keys, see SetOptional.
	optionalAt, optional int

	// ambiguous is true if no reply came, but Redis may have executed the call or may still
	// execute it.
	ambiguous bool
}

// NewCall returns a call of script with keys of one slot, which it keeps. Add its arguments
// with [Call.Append], without the deadline.
func NewCall(script *Script, keys ...string) Call { return NewDayCall(script, "", 0, keys...) }

// NewDayCall is NewCall for a script whose last keys are one for each of the last days, today
// first: dayPrefix and the day's number since the Unix epoch. Today is the day of the deadline
// in the node's clock, so shortly before midnight it may be tomorrow.
func NewDayCall(script *Script, dayPrefix string, days int, keys ...string) Call {
	return NewDayCallIn(make([]any, 0, FirstKey+len(keys)+days+8), script, dayPrefix, days, keys...)
}

// NewDayCallIn is NewDayCall with memory for the arguments.
func NewDayCallIn(args []any, script *Script, dayPrefix string, days int, keys ...string) Call {
	keys = append(keys, make([]string, days)...)
	args = append(args, "evalsha", &script.text().hash, len(keys)) // pointers: an interface of a text is an allocation
	for i := range keys {
		args = append(args, &keys[i])
	}
	c := Call{script: script, firstArg: len(args), dayKeys: keys[len(keys)-days:], dayPrefix: dayPrefix}
	if script.deadline {
		args = append(args, nil)
	}
	c.args = args
	return c
}

// FirstKey is the index of the first key in the arguments of a call. Before it are EVALSHA, the hash
// of the script and the number of keys.
const FirstKey = 3

// NewCallOf returns a call of script, which has no deadline, with the arguments from args[FirstKey]
// on, of which the first are keys. It sets those before, and uses args until it ends. It cannot be
// sent to a Cluster, which finds the node by the text of the first key.
func NewCallOf(script *Script, keys int, args []any) Call {
	args[0], args[1], args[2] = "evalsha", &script.text().hash, keys
	return Call{script: script, firstArg: FirstKey + keys, args: args}
}

// Append adds arguments, as go-redis takes them.
func (c *Call) Append(args ...any) { c.args = append(c.args, args...) }

// SetOptional makes n keys optional, beginning with the one at index at. While a slot moves,
// Redis refuses a call with keys of which some exist and others do not. Then the call is
// repeated without the optional keys, and with "0" as its last argument.
func (c *Call) SetOptional(at, n int) { c.optionalAt, c.optional = at, n }

// key returns the first key, or "" if it is none of [NewCall].
func (c *Call) key() string {
	if key, ok := c.args[FirstKey].(*string); ok {
		return *key
	}
	return ""
}

// dropOptional removes the optional keys, and reports whether there were any.
func (c *Call) dropOptional() bool {
	if c.optional == 0 {
		return false
	}
	at := FirstKey + c.optionalAt
	c.args = slices.Delete(c.args, at, at+c.optional)
	c.args[FirstKey-1] = c.args[FirstKey-1].(int) - c.optional
	c.args[len(c.args)-1] = "0"
	c.firstArg -= c.optional
	c.optional = 0
	return true
}

// Script returns the script.
func (c *Call) Script() *Script { return c.script }

// Node returns the node that the call was sent to last; nil if none.
func (c *Call) Node() *Node { return c.node }

// Text returns the reply if it is a text, else "".
func (c *Call) Text() string {
	text, _ := c.Reply.(string)
	return text
}

// Day is the length of a day of [NewDayCall].
const Day = 24 * time.Hour

// Call sends calls, those of each node in one pipeline, to all nodes at the same time, and sets
// the reply or error of each. It follows redirects. It returns by ctx's deadline, or after
// [Options.Timeout] if it has none. A script with a deadline has no effect after that, and none after
// Call returned an error for it.
func (t *Topology) Call(ctx context.Context, calls []Call) {
	ctx, cancel := t.WithDeadline(ctx)
	defer cancel()
	operations := make([]operation, len(calls))
	for i := range calls {
		operations[i] = operation{key: calls[i].key(), call: &calls[i]}
	}
	t.run(ctx, operations)
	for i := range calls {
		if calls[i].ambiguous && calls[i].Err != nil {
			<-ctx.Done() // after that it can have no effect
			return
		}
	}
}

// argsAt returns the arguments for an attempt: with the deadline and the keys of days.
func (c *Call) argsAt(a *attempt) []any {
	if c.script.deadline {
		c.args[c.firstArg] = a.deadlineText
		if c.Until > 0 && c.Until < a.deadline {
			c.args[c.firstArg] = c.Until
		}
	}
	for i := range c.dayKeys {
		day := a.todayText
		if i > 0 {
			day = strconv.FormatInt(a.today-int64(i), 10)
		}
		c.dayKeys[i] = c.dayPrefix + day
	}
	return c.args
}

func (c *Call) setResult(command *redis.Cmd, node *Node) {
	c.Reply, c.Err = command.Result()
	c.node = node
	c.ambiguous = c.script.deadline && (c.ambiguous || isAmbiguous(c.Err))
}

// review reads a result that is no redirect. It reports whether another attempt may succeed, and
// whether a pause should precede it.
func (c *Call) review(ctx context.Context, a *attempt) (again, pause bool) {
	if c.Err != nil {
		a.scriptsMissing = a.scriptsMissing || redis.HasErrorPrefix(c.Err, "NOSCRIPT")
		if redis.HasErrorPrefix(c.Err, "NOSCRIPT") || timedOutEarly(ctx, c.Err) {
			return true, false
		}
		a.node.topology.Suspect(c.Err)
		pause = c.ambiguous && ctx.Err() == nil
		return pause, pause // a repeated call has no further effect
	}
	if c.script.deadline && c.Reply == lateReply {
		c.Reply, c.Err = nil, errLate
		a.clockWrong = true
		return true, false
	}
	if c.Durable && !strings.HasPrefix(c.Text(), "-") {
		c.Err = a.confirmed()
	}
	return false, false
}

// isAmbiguous reports whether Redis may have executed a command that failed with err: err is
// neither an answer of Redis nor a failure to connect.
func isAmbiguous(err error) bool {
	return err != nil && !errors.As(err, new(redis.Error)) && !isUnsent(err)
}

// isUnsent reports whether err means that there was no connection to send commands on.
func isUnsent(err error) bool {
	var network *net.OpError
	return errors.Is(err, redis.ErrPoolTimeout) || errors.As(err, &network) && network.Op == "dial"
}

// timedOutEarly reports whether err is a timeout of a single step, before ctx's deadline.
func timedOutEarly(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}
