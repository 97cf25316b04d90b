package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cyberdb-fast/codec"
)

// streams says who reads what the server writes to stdout and stderr.
type streams int

const (
	allRead    streams = iota
	hungLog            // stderr is a pipe that is full, and that nothing reads
	hungScreen         // stdout is
	fullDisk           // stderr is a file without room
)

// apply gives the command its stderr. release is to be called at its end.
func (s streams) apply(cmd *exec.Cmd) (release func(), err error) {
	switch s {
	case hungLog:
		reader, writer, err := hungPipe()
		cmd.Stderr = writer
		return closer(reader, writer), err
	case fullDisk:
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		cmd.Stderr = full
		return closer(full), err
	case allRead, hungScreen:
	}
	return func() {}, nil
}

func closer(files ...*os.File) func() {
	return func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
}

// hungPipe returns a pipe that is full.
func hungPipe() (reader, writer *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	reader, writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	err = unix.SetNonblock(fds[1], true)
	for size := 4096; size > 0 && err == nil; {
		if _, err = unix.Write(fds[1], make([]byte, size)); errors.Is(err, unix.EAGAIN) {
			size, err = size/2, nil
		}
	}
	return reader, writer, errors.Join(err, unix.SetNonblock(fds[1], false))
}

// startUnseen starts the server on a port that is chosen here, with an output that nothing reads.
func (srv *server) startUnseen() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv.addr = ln.Addr().String()
	_ = ln.Close()
	reader, writer, err := hungPipe()
	if err != nil {
		return err
	}
	srv.cmd.Stdout = writer
	_, port, _ := net.SplitHostPort(srv.addr)
	srv.cmd.Args = append(srv.cmd.Args, "--port", port)
	if err := srv.cmd.Start(); err != nil {
		return err
	}
	go srv.await(closer(reader, writer))
	return until(patience, func() error {
		c, err := net.Dial("tcp", srv.addr)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

// unreadLog makes more lines than the server keeps for a reader, of wrong passwords, requests and
// saves.
func unreadLog(a *attack) error {
	c, err := a.enter()
	if err != nil {
		return err
	}
	if err := c.ok(codec.OpCreateDict, "logged", false); err != nil {
		return err
	}
	guesses := 0
	err = forTime(a.patience(5*time.Second), 1, func(int) error {
		guesses++
		if err := a.guess("", guesses); err != nil {
			return err
		}
		for n := range 1000 {
			if err := c.ok(codec.OpDictSet, "logged", n, guesses); err != nil {
				return err
			}
		}
		return nil
	})
	figures, infoErr := info(a.control)
	if infoErr == nil && (figures.DroppedLogLines == 0 || figures.Data.SavedClock == 0 || figures.Data.SaveError != "") {
		infoErr = fmt.Errorf("%d lines are dropped; saved up to change %d: %q", figures.DroppedLogLines, figures.Data.SavedClock, figures.Data.SaveError)
	}
	return errors.Join(err, infoErr)
}

// unreadScreen has the witness served for a while.
func unreadScreen(a *attack) error {
	time.Sleep(a.patience(2 * time.Second))
	return nil
}

// stuckControl fills the control socket with clients that are of no use, and saves by it.
func stuckControl(a *attack) error {
	path := filepath.Join(a.dir, "control.sock")
	for i := range 40 {
		c, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		defer c.Close()
		go stickTo(c, i%3)
	}
	for range 3 {
		start := time.Now()
		if err := askControl(path, `{"do":"save","path":"control-copy.cdb"}`); err != nil {
			return err
		}
		if took, bound := time.Since(start), a.patience(8*time.Second); took > bound {
			return fmt.Errorf("a save by the control socket took %v, the bound is %v", took, bound)
		}
	}
	return nil
}

// stickTo is silent, or slow, or deaf.
func stickTo(c net.Conn, how int) {
	text := strings.Repeat(`{"do":"save"}`+"\n", 1000)
	for err := error(nil); err == nil && how > 0; {
		if how == 1 {
			text = " "
			time.Sleep(100 * time.Millisecond)
		}
		_, err = c.Write([]byte(text))
	}
}

// askControl sends one request to the control socket.
func askControl(path, request string) error {
	c, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(c, request); err != nil {
		return err
	}
	reply, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.Contains(reply, `"ok":true`) {
		err = fmt.Errorf("the control socket: %s", reply)
	}
	return err
}
