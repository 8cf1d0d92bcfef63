package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// WorkerArgument is the only argument of a worker process, see [Work].
const WorkerArgument = "worker"

// PerProcess is the number of viewers in one process: many systems allow 20,000 open files
// by default.
const PerProcess = 18_000

// A workerCall is one line to a worker, a workerReply one line from it.
type (
	workerCall struct {
		Plan   *Plan         `json:",omitempty"`
		Method string        // plan, open, leave, await, reset, report
		Within time.Duration `json:",omitempty"`
		Finals []int64       `json:",omitempty"`
	}
	workerReply struct {
		Error  string  `json:",omitempty"`
		Report *Report `json:",omitempty"`
	}
)

// Work serves a crowd to the parent process until in ends.
func Work(in io.Reader, out io.Writer) error {
	var crowd *Crowd
	defer func() {
		if crowd != nil {
			_ = crowd.Close() // the process ends
		}
	}()
	calls, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var call workerCall
		if err := calls.Decode(&call); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a call: %w", err)
		}
		var reply workerReply
		if err := handle(&crowd, call, &reply); err != nil {
			reply.Error = err.Error()
		}
		if err := replies.Encode(reply); err != nil {
			return fmt.Errorf("write a reply: %w", err)
		}
	}
}

func handle(crowd **Crowd, call workerCall, reply *workerReply) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), call.Within)
	defer cancel()
	if *crowd == nil && call.Method != "plan" {
		return errors.New("the plan is missing")
	}
	switch call.Method {
	case "plan":
		*crowd, err = NewCrowd(*call.Plan)
	case "open":
		err = (*crowd).Open(ctx)
	case "leave":
		(*crowd).Leave()
	case "await":
		err = (*crowd).Await(ctx, call.Finals)
	case "reset":
		(*crowd).Reset()
	case "report":
		r := (*crowd).Report()
		reply.Report = &r
	default:
		err = fmt.Errorf("unknown call %q", call.Method)
	}
	return err
}

// remote is a crowd in its own process.
type remote struct {
	command *exec.Cmd
	in      io.WriteCloser
	replies *json.Decoder

	mu sync.Mutex // one call at a time
}

// newRemote starts this program as a worker.
func newRemote(plan Plan) (*remote, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r := &remote{command: exec.Command(self, WorkerArgument)}
	r.command.Stderr = os.Stderr
	if r.in, err = r.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	out, err := r.command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	r.replies = json.NewDecoder(out)
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	if _, err := r.call(context.Background(), workerCall{Method: "plan", Plan: &plan}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *remote) call(ctx context.Context, call workerCall) (Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call.Within = time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		call.Within = time.Until(deadline)
	}
	if err := json.NewEncoder(r.in).Encode(call); err != nil {
		return Report{}, fmt.Errorf("worker: %w", err)
	}
	var reply workerReply
	if err := r.replies.Decode(&reply); err != nil {
		return Report{}, fmt.Errorf("worker: %w", err)
	}
	if reply.Error != "" {
		return Report{}, errors.New(reply.Error)
	}
	if reply.Report != nil {
		return *reply.Report, nil
	}
	return Report{}, nil
}

// close closes the worker's input, which ends it, and waits.
func (r *remote) close() error {
	return errors.Join(r.in.Close(), r.command.Wait())
}
