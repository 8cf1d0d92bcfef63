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

// WorkerArgument is the only argument of a process that serves [Work].
const WorkerArgument = "worker"

// PerProcess is how many viewers one process holds: 20,000 open files are what
// many systems allow without being asked, and some are needed for the rest.
const PerProcess = 18_000

// An order is one line to a worker, an answer one line from it.
type (
	order struct {
		Plan   *Plan         `json:",omitempty"`
		Verb   string        // plan, open, leave, await, reset, report
		Within time.Duration `json:",omitempty"`
		Finals []int64       `json:",omitempty"`
	}
	answer struct {
		Error  string  `json:",omitempty"`
		Report *Report `json:",omitempty"`
	}
)

// Work serves a crowd in this process for the one that started it, until in ends.
func Work(in io.Reader, out io.Writer) error {
	var crowd *Crowd
	defer func() {
		if crowd != nil {
			_ = crowd.Close() // the process ends
		}
	}()
	orders, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		var a answer
		if err := obey(&crowd, o, &a); err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

func obey(crowd **Crowd, o order, a *answer) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), o.Within)
	defer cancel()
	if *crowd == nil && o.Verb != "plan" {
		return errors.New("there is no plan yet")
	}
	switch o.Verb {
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
		err = fmt.Errorf("unknown order %q", o.Verb)
	}
	return err
}

// remote is a crowd in a process of its own.
type remote struct {
	command *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder

	mu sync.Mutex // one order at a time
}

// newRemote starts this program anew as a worker.
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
	r.answers = json.NewDecoder(out)
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	if _, err := r.say(context.Background(), order{Verb: "plan", Plan: &plan}); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *remote) say(ctx context.Context, o order) (Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Within = time.Hour
	if deadline, ok := ctx.Deadline(); ok {
		o.Within = time.Until(deadline)
	}
	if err := json.NewEncoder(r.in).Encode(o); err != nil {
		return Report{}, fmt.Errorf("worker: %w", err)
	}
	var a answer
	if err := r.answers.Decode(&a); err != nil {
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

// close ends the worker, which ends when its input does.
func (r *remote) close() error {
	return errors.Join(r.in.Close(), r.command.Wait())
}
