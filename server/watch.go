package server

import (
	"context"
	"net"
	"syscall"
	"time"
)

// watch cancels a request when its client goes away. fasthttp reads nothing while a handler runs and reports no disconnect, so
// watch waits in the runtime's poller until the socket is readable and peeks: end of file or an error means that the client is
// gone (a half-closed client counts as gone, as in nginx). Bytes mean a pipelined request; what follows them cannot be seen, and
// a disconnect then shows at the next write.
//
// The returned stop ends the watching and waits for it; it must be called before fasthttp reads from the connection again.
func watch(conn net.Conn, cancel context.CancelFunc) (stop func()) {
	sc, ok := conn.(syscall.Conn)
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

// waitGone blocks until the peer has closed (true), has sent more bytes or the read deadline has passed (false).
func waitGone(raw syscall.RawConn) (gone bool) {
	var one [1]byte
	_ = raw.Read(func(fd uintptr) bool { // its error is the deadline or a closed connection: nobody is left to tell
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		for err == syscall.EINTR {
			n, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		}
		gone = n <= 0 && err != syscall.EAGAIN
		return err != syscall.EAGAIN
	})
	return gone
}
