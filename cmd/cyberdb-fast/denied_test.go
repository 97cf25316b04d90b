package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// errnos are the errors that denied can give to system calls.
var errnos = map[string]unix.Errno{
	"EPERM":      unix.EPERM,
	"EOPNOTSUPP": unix.EOPNOTSUPP,
	"ENOSYS":     unix.ENOSYS,
	"ENOLCK":     unix.ENOLCK,
}

// numbers are the system calls that denied can deny.
func numbers() map[string][]uint32 {
	all := map[string][]uint32{"link": {unix.SYS_LINKAT}, "flock": {unix.SYS_FLOCK}}
	if runtime.GOARCH == "amd64" {
		all["link"] = append(all["link"], 86) // link(2)
	}
	return all
}

// denied ERRNO CALL program args...: runs a program, to which the kernel denies a system call, as a
// file system does that does not know it.
func denied() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: denied ERRNO CALL program args..."))
	}
	errno, calls := errnos[os.Args[1]], numbers()[os.Args[2]]
	if errno == 0 || calls == nil {
		fail(fmt.Errorf("denied: %s of %s is not known", os.Args[1], os.Args[2]))
	}
	path, err := exec.LookPath(os.Args[3])
	if err != nil {
		fail(err)
	}
	runtime.LockOSThread() // the filter is this thread's; exec keeps it alone
	if err := deny(errno, calls); err != nil {
		fail(err)
	}
	fail(syscall.Exec(path, os.Args[3:], os.Environ()))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// deny has the kernel answer system calls of this thread, and of what it executes, with an error.
func deny(errno unix.Errno, calls []uint32) error {
	const loadNumber = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	filter := []unix.SockFilter{{Code: loadNumber}}
	for i, call := range calls {
		filter = append(
			filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: call},
		)
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// tmpfs DIR SIZE: DIR is a file system of its own from here on, with so much room.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			ts.Logf("%s stays mounted: %v", strings.TrimSpace(dir), err)
		}
	})
}
