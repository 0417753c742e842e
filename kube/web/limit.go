package web

import (
	"net"
	"sync"
)

// limited is a listener that holds at most cap(slots) connections open; more
// wait in the kernel's queue. Three quarters of them may be from other
// computers, so that those cannot keep this one out; more are closed.
type limited struct {
	net.Listener
	slots chan struct{}
	away  chan struct{} // those of other computers
	once  sync.Once
	done  chan struct{} // closed by Close
}

func limit(l net.Listener, n int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, n), away: make(chan struct{}, n-n/4), done: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		if loopback(c.RemoteAddr().String()) {
			return &counted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
		}
		select {
		case l.away <- struct{}{}:
			return &counted{Conn: c, free: sync.OnceFunc(func() { <-l.away; <-l.slots })}, nil
		default:
			_ = c.Close()
			<-l.slots
		}
	}
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.free()
	return err
}
