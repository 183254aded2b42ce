package server

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch cancels a request when its client goes away. fasthttp reads nothing while a handler runs and reports no disconnect, so
// watch waits in the runtime's poller until the socket is readable and peeks: end of file or an error means that the client is
// gone (a half-closed client counts as gone, as in nginx). Bytes mean a pipelined request, or a client of TLS that says goodbye; then
// the kernel is asked whether an end follows them. TLS is watched on the connection below it.
//
// The returned stop ends the watching and waits for it; it must be called before fasthttp reads from the connection again.
func watch(conn net.Conn, cancel context.CancelFunc) (stop func()) {
	sc, ok := lowest(conn).(syscall.Conn)
	if !ok {
		return func() {} // in-memory connections of tests
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		cancel()
		return func() {}
	}
	done := make(chan struct{})
	conn.SetReadDeadline(time.Time{}) // fasthttp's deadline was for reading the request
	go func() {
		defer close(done)
		if waitGone(raw) {
			cancel()
		}
	}()
	return func() {
		conn.SetReadDeadline(time.Unix(1, 0)) // wakes waitGone; fasthttp sets its own before it reads
		<-done
	}
}

// lowest is the connection of the operating system below all wrappings.
func lowest(conn net.Conn) net.Conn {
	for {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = above.NetConn()
	}
}

// waitGone blocks until the peer has closed (true) or the read deadline has passed (false). fasthttp closes a connection while a
// stream is watched only if a write to it has failed, so that is an end, too.
func waitGone(raw syscall.RawConn) (gone bool) {
	var one [1]byte
	err := raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		for err == syscall.EINTR {
			n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
		gone = n <= 0 && err != syscall.EAGAIN || n > 0 && hungUp(int32(fd))
		return gone // else the poller wakes us at the next byte or the end
	})
	return gone || err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// hungUp says that the peer will send nothing after what has come.
func hungUp(fd int32) bool {
	state := []unix.PollFd{{Fd: fd, Events: unix.POLLRDHUP}}
	n, err := unix.Poll(state, 0)
	return err == nil && n > 0
}
