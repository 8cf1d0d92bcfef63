package connlimit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

// open returns how many connections are open, as descriptor numbers would show.
func (l *Limiter) open(net.Conn) (n int) {
	l.conns.Range(func(_, value any) bool {
		if s, _ := unpack(value.(*conn).state.Load()); s != closing {
			n++
		}
		return true
	})
	return n
}

// Clients leave descriptors to the rest of the process.
func TestLimiter_FilesRunShort(t *testing.T) {
	const files = 100
	r := newRig(t, func(o *Options) {
		o.Files = files
		o.IsExempt = func(a netip.Addr) bool { return a.String() == "127.0.0.9" }
	}, func(l *Limiter) { l.descriptor = l.open })
	proxy := r.from("127.0.0.9").request()
	unused := r.from("127.0.0.1")
	old := r.from("127.0.0.1").request()
	busy := r.from("127.0.0.1").send("/wait")
	<-r.asked
	for i := range 2 * files {
		r.from(fmt.Sprintf("127.0.1.%d", i+1)).request() // each from another address
		if n := r.limiter.open(nil); n > files-minReserve {
			t.Fatalf("%d of %d descriptors are taken", n, files)
		}
	}
	if !old.isClosed() {
		t.Error("an idle connection is open although files are short")
	}
	unused.request() // idle ones were enough
	proxy.request()
	if n := r.logged("file descriptors run short"); n != 1 {
		t.Errorf("%d warnings", n)
	}
	// Without idle connections the limiter refuses new ones.
	refused := 0
	for range 2 * files {
		c := r.from("127.0.0.3").send("/wait")
		select {
		case <-r.asked:
		case <-c.closed():
			refused++
		}
	}
	if n := r.limiter.open(nil); n > files-minReserve/2 || refused < files {
		t.Errorf("%d of %d descriptors are taken, %d connections refused", n, files, refused)
	}
	close(r.proceed)
	if !busy.isAnswered() {
		t.Error("a request was ended")
	}
}

// exhausted is a listener of a process without free descriptors.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) {
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

// The rest of the process may use the last descriptors.
func TestLimiter_NoFileLeft(t *testing.T) {
	r := newRig(t, func(*Options) {})
	old := r.from("127.0.0.1").request()
	if _, err := r.limiter.Listener(exhausted{}).Accept(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("error %v; net/http has to wait", err)
	}
	if !old.isClosed() {
		t.Error("an idle connection is open although no file is left")
	}
	if n := r.logged("file descriptors run short"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
