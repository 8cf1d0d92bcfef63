package load

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Source returns the loopback address from which client number n comes: one of
// 127.1.0.1 to 127.254.255.254.
func Source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + n/(254*254)%254), byte(1 + n/254%254), byte(1 + n%254)})
}

// sendNext begins the connection of the next viewer that is away, if there is one.
func (c *Crowd) sendNext() {
	if c.next >= len(c.viewers) {
		return
	}
	i := c.next
	c.next++
	if err := c.connect(i); err != nil {
		c.viewers[i].state = lost
		c.lost++
		c.note("connect: %v", err)
		return
	}
	c.arriving++
}

func (c *Crowd) connect(i int) error {
	address, err := netip.ParseAddrPort(c.plan.Door.Address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	v := &c.viewers[i]
	v.fd = int32(fd)
	source := Source((c.plan.Offset + i) / perAddress)
	// The port is chosen when both ends are known, so that ports may repeat.
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()})
	}
	if err == nil {
		// A viewer that leaves resets its connection: thousands that wait for late
		// segments (TIME_WAIT) would weigh on the next run.
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()})
		if errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
	}
	if err == nil {
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: int32(i), Pad: c.generation}
		err = unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &event)
	}
	if err != nil {
		_ = unix.Close(fd) // the error at hand says more
		v.fd = -1
		return fmt.Errorf("connect from %s to %s: %w", source, address, err)
	}
	v.state = connecting
	return nil
}

// serve does what a viewer's socket is ready for. Notifications are edges, so it
// reads until there is nothing left.
func (c *Crowd) serve(v *viewer, events uint32, buffer []byte) {
	was := v.state
	if v.state == connecting && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		topics := make([]int, len(v.slots))
		for k := range topics {
			topics[k] = (int(v.first) + k) % c.plan.Topics
		}
		if !c.send(v, c.plan.Door.request(topics)) {
			c.drop(v)
			return
		}
		v.state = waiting
	}
	ended := events&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0
	if v.state > connecting && !c.read(v, buffer, ended) {
		c.drop(v)
		return
	}
	if was != live && v.state == live {
		c.sendNext()
	}
}

// read reads all there is; false when the connection ended. ended says that the
// end is among it.
func (c *Crowd) read(v *viewer, buffer []byte, ended bool) bool {
	for {
		kept := copy(buffer, v.tail)
		n, err := unix.Read(int(v.fd), buffer[kept:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return true
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			c.note("read: %v", err)
			return false
		case n == 0:
			c.note("the server closed a viewer")
			return false
		}
		if !c.take(v, buffer[:kept+n], Clock()) {
			return false
		}
		if kept+n < len(buffer) && !ended {
			return true // a short read emptied the socket; what comes now is a new edge
		}
	}
}

// send sends a few bytes, which an empty socket always has room for.
func (c *Crowd) send(v *viewer, data []byte) bool {
	if n, err := unix.Write(int(v.fd), data); err != nil || n != len(data) {
		c.note("send: %d of %d bytes, %v", n, len(data), err)
		return false
	}
	return true
}

// drop forgets a viewer that the server sent away.
func (c *Crowd) drop(v *viewer) {
	if v.state == live {
		c.live--
	} else {
		c.arriving--
	}
	_ = unix.Close(int(v.fd)) // the other end is gone
	v.fd, v.state, v.tail = -1, lost, nil
	c.lost++
	c.sendNext()
}
