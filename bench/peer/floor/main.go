// Command floor is the lower bound of a fan-out's cost: raw sockets in a slice, one loop for
// each processor, one write(2) for each delivery of the bytes that tallycast sends.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/tallycast/tallycast/bench/peer/wire"
)

const (
	sseHead = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n\r\n"
	wsHead  = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	// backlog is that of tallycast's listener: the kernel's maximum (somaxconn).
	backlog = 4096
)

// encoding returns a frame in the framing of a transport.
type encoding func(dst, json []byte) []byte

func eventStream(dst, json []byte) []byte {
	return append(append(append(dst, "data: "...), json...), "\n\n"...)
}

// webSocket returns an unmasked text frame (RFC 6455, section 5.2) of less than 126 bytes.
func webSocket(dst, json []byte) []byte {
	return append(append(dst, 0x81, byte(len(json))), json...)
}

// shard is one loop with its sockets of each transport.
type shard struct {
	wake chan struct{}

	mu      sync.Mutex
	sockets [2][]int
}

var (
	encodings = [2]encoding{eventStream, webSocket}
	shards    []*shard
	turn      atomic.Uint32
	likes     atomic.Int64
	topic     atomic.Pointer[string]
)

func main() {
	flags := wire.ParseFlags()
	address, err := netip.ParseAddrPort(flags.Listen)
	if err != nil {
		log.Fatal(err)
	}
	nothing := "default/likes/b0"
	topic.Store(&nothing)
	for range runtime.GOMAXPROCS(0) {
		s := &shard{wake: make(chan struct{}, 1)}
		shards = append(shards, s)
		go s.run() // ends with the process
	}
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(
			unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.Bind(listener, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()}),
			unix.Listen(listener, backlog))
	}
	if err != nil {
		log.Fatal(err)
	}
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
		case err != nil:
			log.Fatal(err)
		default:
			go serve(fd) // ends with the connection
		}
	}
}

// serve handles one connection. A viewer's goes to a shard; a client of likes stays here.
func serve(fd int) {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 0, 4096)
	for {
		head := bytes.Index(buffer, []byte("\r\n\r\n"))
		if head < 0 {
			n, err := unix.Read(fd, buffer[len(buffer):cap(buffer)])
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if n <= 0 || err != nil {
				_ = unix.Close(fd) // the peer has closed it
				return
			}
			buffer = buffer[:len(buffer)+n]
			continue
		}
		text := string(buffer[:head])
		if strings.HasPrefix(text, "GET ") {
			join(fd, strings.Contains(text, "Upgrade: websocket"))
			return
		}
		// The client sends a like with one write, so one read has one request.
		buffer = buffer[:0]
		path, _, _ := strings.Cut(strings.TrimPrefix(text, "POST /v1/"), " ")
		topic.Store(&path)
		n := likes.Add(1)
		for _, s := range shards {
			select {
			case s.wake <- struct{}{}:
			default: // it is awake and reads the newest count
			}
		}
		body := wire.AppendFrame(nil, path, n)
		if _, err := unix.Write(fd, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)); err != nil {
			_ = unix.Close(fd) // the peer has closed it
			return
		}
	}
}

// join adds a viewer to the next shard.
func join(fd int, socket bool) {
	transport, head := 0, []byte(sseHead)
	if socket {
		transport, head = 1, []byte(wsHead)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		log.Fatal(err)
	}
	s := shards[int(turn.Add(1))%len(shards)]
	s.mu.Lock()
	defer s.mu.Unlock()
	head = encodings[transport](head, wire.AppendFrame(nil, *topic.Load(), likes.Load()))
	head = encodings[transport](head, []byte(wire.Live))
	if n, err := unix.Write(fd, head); err != nil || n != len(head) {
		_ = unix.Close(fd) // the peer has closed it
		return
	}
	s.sockets[transport] = append(s.sockets[transport], fd)
}

// run writes the newest count to each socket of the shard whenever it is woken.
func (s *shard) run() {
	runtime.LockOSThread() // avoids scheduling between two writes
	var json, data []byte
	for range s.wake {
		s.mu.Lock()
		json = wire.AppendFrame(json[:0], *topic.Load(), likes.Load())
		for transport := range s.sockets {
			data = encodings[transport](data[:0], json)
			kept := s.sockets[transport][:0]
			for _, fd := range s.sockets[transport] {
				if _, err := unix.Write(fd, data); err != nil && !errors.Is(err, unix.EAGAIN) {
					_ = unix.Close(fd) // the peer has closed it
					continue
				}
				kept = append(kept, fd)
			}
			s.sockets[transport] = kept
		}
		s.mu.Unlock()
	}
}
