package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/storetest"
)

// The test binary runs itself as another process on the same file. The variables childRole
// and childPath name what it does and the file.
const (
	childRole = "TALLYCAST_TEST_ROLE"
	childPath = "TALLYCAST_TEST_PATH"

	roleWrite   = "write"   // like until killed, and print each acknowledgement
	roleRevert  = "revert"  // the same, while likes on other topics are reverted
	roleHold    = "hold"    // hold the file until stdin ends
	roleNobody  = "nobody"  // open as a user without rights
	roleLimited = "limited" // write beyond the process's limit of file size
)

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		if err := storetest.Checks(100); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(m)
		return
	}
	roles := map[string]func(path string) error{
		roleWrite: writeForever, roleRevert: revertForever, roleHold: hold, roleNobody: openAsNobody, roleLimited: writeLimited,
	}
	if err := roles[role](os.Getenv(childPath)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child is another process of this test.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner // its output
	stdin io.WriteCloser
}

// start starts a child and kills it when the test ends.
func start(t *testing.T, role, path string) *child {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{command, bufio.NewScanner(stdout), stdin}
	t.Cleanup(func() { c.kill() })
	return c
}

// line returns the child's next line of output, "" at its end.
func (c *child) line() string {
	c.lines.Scan()
	return c.lines.Text()
}

// kill sends SIGKILL to the child and waits for its end.
func (c *child) kill() {
	_ = c.Process.Kill()
	for c.lines.Scan() {
	}
	_ = c.Wait()
}

// writers is the number of goroutines that write in a child.
const writers = 8

// memberOf returns the member of the n-th like of a writer in the process pid.
func memberOf(pid, writer, n int) tally.Member {
	return tally.Member(uint64(pid)<<40 | uint64(writer)<<32 | uint64(n+1))
}

func childTopic() tally.Topic {
	topic, err := tally.NewTopic(tally.DefaultSite, "likes", "killed")
	if err != nil {
		panic(err)
	}
	return topic
}

func writeForever(path string) error {
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		return err
	}
	return likeForever(store)
}

func revertForever(path string) error {
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{Journal: week})
	if err != nil {
		return err
	}
	go func() { // ends with the process
		for err == nil {
			err = likeAndRevert(store)
		}
		fmt.Println("revert:", err)
	}()
	return likeForever(store)
}

// likeAndRevert likes many topics and reverts that.
func likeAndRevert(store *sqlitestore.Store) error {
	batches := make([]tally.Batch, 200)
	for i := range batches {
		topic, err := tally.NewTopic(tally.DefaultSite, "likes", fmt.Sprint("reverted/", i))
		if err != nil {
			return err
		}
		batches[i] = tally.Batch{Topic: topic, Writes: []tally.Write{{Member: 1, Amount: 1, MayCreate: true}}}
	}
	store.Apply(context.Background(), batches)
	if batches[0].Err != nil {
		return batches[0].Err
	}
	scope := tally.Scope{Site: tally.DefaultSite, Metric: "likes", Prefix: "reverted/"}
	return store.Journal(context.Background(), scope, 0, math.MaxInt64, func(entries []tally.JournalEntry) error {
		_, _, err := store.Revert(context.Background(), entries, tally.RevertPast)
		return err
	})
}

// likeForever likes until an error, and prints each acknowledgement.
func likeForever(store *sqlitestore.Store) error {
	var telling sync.Mutex
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for writer := range writers {
		all.Go(func() {
			for n := 0; failed.Load() == nil; n++ {
				batches := []tally.Batch{{Topic: childTopic(), Writes: []tally.Write{
					{Member: memberOf(os.Getpid(), writer, n), Amount: 1, MayCreate: true},
				}}}
				store.Apply(context.Background(), batches)
				if batches[0].Err != nil {
					failed.Store(&batches[0].Err)
					return
				}
				telling.Lock()
				fmt.Println(writer, n)
				telling.Unlock()
			}
		})
	}
	all.Wait()
	return *failed.Load()
}

func hold(path string) error {
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return store.Close()
}

// openAsNobody opens the file without the rights of root.
func openAsNobody(path string) error {
	const nobody = 65534
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		return err
	}
	return store.Close()
}

// writeLimited writes under a limit of file size until writes fail, and again after the limit
// is lifted.
func writeLimited(path string) error {
	store, err := sqlitestore.Open(context.Background(), path, catalog(), sqlitestore.Options{})
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	before := limit
	limit.Cur = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	acknowledged, failure := fill(store, 200)
	if failure == nil {
		return errors.New("no write failed")
	}
	if err := store.Health().Err; err == nil || !strings.Contains(err.Error(), path) {
		return fmt.Errorf("health of a store that cannot write: %v", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if _, err := fill(store, 1); err != nil {
		return fmt.Errorf("after the limit was lifted: %w", err)
	}
	if err := store.Health().Err; err != nil {
		return fmt.Errorf("health after the limit was lifted: %w", err)
	}
	reading := store.Read(context.Background(), []tally.Query{{Topic: childTopic()}})[0]
	if want := int64(max(acknowledged, tally.MaxBatchWrites)); reading.Err != nil || reading.Change.Count != want {
		return fmt.Errorf("%d likes were acknowledged, the count is %d, error %v", want, reading.Change.Count, reading.Err)
	}
	fmt.Println("failed with:", failure)
	return store.Close()
}

// fill applies batches of likes of the same visitors until one fails, and returns the number
// of acknowledged likes.
func fill(store *sqlitestore.Store, batches int) (acknowledged int, err error) {
	for i := range batches {
		batch := []tally.Batch{{Topic: childTopic(), Writes: make([]tally.Write, tally.MaxBatchWrites)}}
		for j := range batch[0].Writes {
			batch[0].Writes[j] = tally.Write{
				Member: tally.Member(uint64(i*tally.MaxBatchWrites+j+1) * 0x9e3779b97f4a7c15), Amount: 1, MayCreate: true,
			}
		}
		store.Apply(context.Background(), batch)
		if err := batch[0].Err; err != nil {
			return acknowledged, err
		}
		acknowledged += len(batch[0].Writes)
	}
	return acknowledged, nil
}
