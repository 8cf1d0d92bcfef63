package load

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Source returns the loopback address of client number n, from 127.1.0.1 to
// 127.254.255.254.
func Source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + n/(254*254)%254), byte(1 + n/254%254), byte(1 + n%254)})
}

// connectNext starts the connection of the next viewer, if there is one.
func (c *Crowd) connectNext() {
	if c.next >= len(c.viewers) {
		return
	}
	i := c.next
	c.next++
	if err := c.connect(i); err != nil {
		c.viewers[i].state = lost
		c.lost++
		c.recordProblem("connect: %v", err)
		return
	}
	c.arriving++
}

func (c *Crowd) connect(i int) error {
	address, err := netip.ParseAddrPort(c.plan.Endpoint.Address)
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
	// The kernel chooses the port when both ends are known, so that ports can repeat.
	if err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()})
	}
	if err == nil {
		// Closing resets the connection: thousands of sockets in TIME_WAIT would slow the
		// next run down.
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
		_ = unix.Close(fd) // the earlier error is more useful
		v.fd = -1
		return fmt.Errorf("connect from %s to %s: %w", source, address, err)
	}
	v.state = connecting
	return nil
}

// serve handles the events of a viewer's socket. The events are edge-triggered, so it reads
// until the socket is empty.
func (c *Crowd) serve(v *viewer, events uint32, buffer []byte) {
	was := v.state
	if v.state == connecting && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		topics := make([]int, len(v.topics))
		for k := range topics {
			topics[k] = (int(v.first) + k) % c.plan.Topics
		}
		if !c.send(v, c.plan.Endpoint.request(topics)) {
			c.disconnect(v)
			return
		}
		v.state = awaitingHead
	}
	ended := events&(unix.EPOLLRDHUP|unix.EPOLLERR|unix.EPOLLHUP) != 0
	if v.state > connecting && !c.read(v, buffer, ended) {
		c.disconnect(v)
		return
	}
	if was != live && v.state == live {
		c.connectNext()
	}
}

// read reads all available data and returns false if the connection ended. ended reports
// that the end is part of the data.
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
			c.recordProblem("read: %v", err)
			return false
		case n == 0:
			c.recordProblem("the server disconnected a viewer")
			return false
		}
		if !c.consume(v, buffer[:kept+n], Clock()) {
			return false
		}
		if kept+n < len(buffer) && !ended {
			return true // a short read emptied the socket; more data is a new event
		}
	}
}

// send sends a few bytes. The empty socket has room for them.
func (c *Crowd) send(v *viewer, data []byte) bool {
	if n, err := unix.Write(int(v.fd), data); err != nil || n != len(data) {
		c.recordProblem("send: %d of %d bytes, %v", n, len(data), err)
		return false
	}
	return true
}

// disconnect marks a viewer as lost after the server closed its connection.
func (c *Crowd) disconnect(v *viewer) {
	if v.state == live {
		c.live--
	} else {
		c.arriving--
	}
	_ = unix.Close(int(v.fd)) // the peer has closed it
	v.fd, v.state, v.tail = -1, lost, nil
	c.lost++
	c.connectNext()
}
