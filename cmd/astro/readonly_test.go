package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readOnlyMark has a program that a test started answer SIGWINCH by losing the right to write files.
const readOnlyMark = "ASTRO_TEST_READ_ONLY"

// What such a program says on its standard error then.
const (
	nowReadOnly = "test: files can only be read from now on"
	notReadOnly = "test: files can still be written: "
)

// awaitReadOnly makes all files of this process read-only at the first SIGWINCH.
func awaitReadOnly() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		<-signals
		if err := denyWrites(); err != nil {
			fmt.Fprintln(os.Stderr, notReadOnly+err.Error())
			return
		}
		fmt.Fprintln(os.Stderr, nowReadOnly)
	}()
}

// denyWrites has the kernel answer with EROFS what a file system that was remounted read-only under open files does: a mount cannot be
// made so while somebody may write to it, and a device that fails for that takes root. It is for all threads, and for good.
func denyWrites() error {
	const number, flags = 0, 16 + 2*8 // in struct seccomp_data: the call, and the low half of its third argument
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	result := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	is := func(call uint32, then, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: then, Jf: otherwise}
	}
	filter := []unix.SockFilter{
		load(number),
		is(unix.SYS_PWRITE64, 6, 0), is(unix.SYS_FTRUNCATE, 5, 0), is(unix.SYS_FALLOCATE, 4, 0), is(unix.SYS_OPENAT, 0, 2),
		load(flags), {Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.O_WRONLY | unix.O_RDWR, Jt: 1},
		result(unix.SECCOMP_RET_ALLOW), result(unix.SECCOMP_RET_ERRNO | uint32(unix.EROFS)),
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, failed := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); failed != 0 {
		return fmt.Errorf("seccomp: %w", failed)
	}
	return nil
}

// becomeReadOnly makes a server's files read-only, or skips the test where the kernel cannot.
func (a *astro) becomeReadOnly(t *testing.T) {
	t.Helper()
	a.Process.Signal(syscall.SIGWINCH)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(a.log.String(), nowReadOnly); time.Sleep(5 * time.Millisecond) {
		if _, why, found := strings.Cut(a.log.String(), notReadOnly); found {
			t.Skipf("THE STORE ON A FILE SYSTEM THAT BECOMES READ-ONLY IS NOT TESTED: no seccomp filter can be set here: %s", why)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no answer to SIGWINCH: %s", a.log)
		}
	}
}

// The file system becomes read-only under the open store: completions go on, what is stored can be read, feedback is refused with 503 and
// nothing of it is acknowledged; an answer of meanwhile is unknown. After a restart on a good disk all that was acknowledged is there.
func TestFileSystemBecomesReadOnly(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "store")
	a := startServe(t, []string{readOnlyMark + "=1"}, demo, "--backend", "go", "--store", folder, "--served-model-name", "m")
	rate := func(id, rater string) answer {
		return send("POST", a.url+"/v1/feedback", map[string]any{"completion_id": id, "reward": 1, "rater": rater})
	}
	id := askChat(a.url, nil).word("id")
	if got := rate(id, "ann"); got.status != 200 {
		t.Fatalf("got %d %s %v", got.status, got.text, got.err)
	}
	a.becomeReadOnly(t)
	for range 5 {
		meanwhile := askChat(a.url, nil)
		if meanwhile.status != 200 {
			t.Fatalf("a completion: got %d %s %v", meanwhile.status, meanwhile.text, meanwhile.err)
		}
		if got := rate(id, "bob"); got.status != 503 || got.code() != "storage_unavailable" {
			t.Errorf("feedback: got %d %s; want 503 storage_unavailable", got.status, got.text)
		}
		if got := rate(meanwhile.word("id"), "ann"); got.status != 404 || got.code() != "unknown_completion" {
			t.Errorf("feedback for an answer that could not be stored: got %d %s; want 404", got.status, got.text)
		}
		if got := send("GET", a.url+"/v1/completions/"+id, nil); got.status != 200 || strings.Count(got.text, `"rater"`) != 1 || !strings.Contains(got.text, `"ann"`) {
			t.Errorf("what is stored: got %d %s; want the vote of ann alone", got.status, got.text)
		}
	}
	metrics := send("GET", a.url+"/metrics", nil).text
	if !strings.Contains(metrics, "astro_store_broken 0") || strings.Contains(metrics, "astro_store_failures_total 0") {
		t.Errorf("want failures that broke nothing; the log is %s", a.log)
	}
	a.end(t)
	a = startServe(t, nil, demo, "--backend", "go", "--store", folder, "--served-model-name", "m")
	if got := send("GET", a.url+"/v1/completions/"+id, nil); got.status != 200 || strings.Count(got.text, `"rater"`) != 1 || !strings.Contains(got.text, `"ann"`) {
		t.Errorf("after a restart: got %d %s; want the vote of ann alone", got.status, got.text)
	}
	for rater, one := range map[string]string{"bob": id, "ann": askChat(a.url, nil).word("id")} {
		if got := rate(one, rater); got.status != 200 {
			t.Errorf("feedback after a restart: got %d %s", got.status, got.text)
		}
	}
	a.end(t)
}
