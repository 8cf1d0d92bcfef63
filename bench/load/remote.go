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
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o workerCall
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a call: %w", err)
		}
		var a workerReply
		if err := handle(&crowd, o, &a); err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("write a reply: %w", err)
		}
	}
}

func handle(crowd **Crowd, o workerCall, a *workerReply) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Within)
	defer cancel()
	if *crowd == nil && o.Method != "plan" {
		return errors.New("the plan is missing")
	}
	switch o.Method {
	case "plan":
		*crowd, err = NewCrowd(*o.Plan)
	case "open":
		err = (*crowd).Open(ctx)
	case "leave":
		(*crowd).Leave()
	case "await":
		err = (*crowd).Await(ctx, o.Finals)
	case "reset":
		(*crowd).Reset()
	case "report":
		r := (*crowd).Report()
		a.Report = &r
	default:
		err = fmt.Errorf("unknown call %q", o.Method)
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

func (r *remote) call(ctx context.Context, o workerCall) (Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Within = time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		o.Within = time.Until(deadline)
	}
	if err := json.NewEncoder(r.in).Encode(o); err != nil {
		return Report{}, fmt.Errorf("worker: %w", err)
	}
	var a workerReply
	if err := r.replies.Decode(&a); err != nil {
		return Report{}, fmt.Errorf("worker: %w", err)
	}
	if a.Error != "" {
		return Report{}, errors.New(a.Error)
	}
	if a.Report != nil {
		return *a.Report, nil
	}
	return Report{}, nil
}

// close closes the worker's input, which ends it, and waits.
func (r *remote) close() error {
	return errors.Join(r.in.Close(), r.command.Wait())
}
