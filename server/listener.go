package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// listener counts connections by address, and goes on after errors that pass: fasthttp would end the server when the process has no
// file left for one connection.
type listener struct {
	net.Listener
	perIP int // connections of one address; 0 = any number

	mu    sync.Mutex
	count map[netip.Prefix]int
}

// listener prepares ln for fasthttp.
func (s *Server) listener(ln net.Listener) net.Listener {
	ln = &listener{Listener: ln, perIP: s.limits.ConnectionsPerIP, count: map[netip.Prefix]int{}}
	if s.Certificate == nil {
		return ln
	}
	return tls.NewListener(ln, s.Certificate.config())
}

// keepAlive finds out within about 35 s that a client's machine is gone without a word.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}

// writeBufferBytes is what the kernel holds of an answer whose client does not read it; by itself it would take megabytes. At a round
// trip of 100 ms it still lets a megabyte through in a second.
const writeBufferBytes = 128 << 10

// Accept returns the next connection within the limits; others are closed.
func (l *listener) Accept() (net.Conn, error) {
	const pause = 20 * time.Millisecond // until a file may be free
	for {
		c, err := l.Listener.Accept()
		switch {
		case err != nil && passes(err):
			time.Sleep(pause)
			continue
		case err != nil:
			return nil, err
		}
		from, counted := countedAddress(c.RemoteAddr())
		if counted && !l.enter(from) {
			c.Close()
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetKeepAliveConfig(keepAlive) // without these two the connection works, too
			tcp.SetWriteBuffer(writeBufferBytes)
		}
		if !counted {
			return c, nil
		}
		return &countedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
	}
}

// passes says that another connection may be accepted later.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// countedAddress is whose account a connection is on. Loopback is not counted: a proxy in front has all its clients there.
func countedAddress(a net.Addr) (from netip.Prefix, counted bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64 // what one client gets
	}
	from, err := ip.Prefix(bits)
	return from, err == nil && !ip.IsLoopback()
}

func (l *listener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perIP > 0 && l.count[from] >= l.perIP {
		return false
	}
	l.count[from]++
	return true
}

func (l *listener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count[from]--; l.count[from] == 0 {
		delete(l.count, from)
	}
}

// countedConn leaves its account when it is closed.
type countedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// NetConn is the connection below, as in tls.Conn.
func (c *countedConn) NetConn() net.Conn { return c.Conn }
