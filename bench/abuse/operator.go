package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/codec"
)

// streams is what stdout and stderr of the server are connected to.
type streams int

const (
	allRead    streams = iota
	hungLog            // stderr is a pipe that is full, and that nothing reads
	hungScreen         // stdout is such a pipe
	fullDisk           // stderr is a file on a full disk
)

// open returns the stdout and the stderr for a server, nil for a stream that is read. Call close at
// its end.
func (s streams) open() (stdout, stderr *os.File, closeAll func(), err error) {
	var files []*os.File
	switch s {
	case hungLog:
		var reader *os.File
		reader, stderr, err = harness.FullPipe()
		files = []*os.File{reader, stderr}
	case hungScreen:
		var reader *os.File
		reader, stdout, err = harness.FullPipe()
		files = []*os.File{reader, stdout}
	case fullDisk:
		stderr, err = os.OpenFile("/dev/full", os.O_WRONLY, 0)
		files = []*os.File{stderr}
	case allRead:
	}
	return stdout, stderr, func() {
		for _, f := range files {
			_ = f.Close()
		}
	}, err
}

// unreadLog makes the server log more lines than it buffers: wrong passwords, requests and saves.
func unreadLog(a *attack) error {
	c, err := a.enter()
	if err != nil {
		return err
	}
	if err := c.ok(codec.OpCreateDict, "logged", false); err != nil {
		return err
	}
	guesses := 0
	err = forTime(a.scaled(5*time.Second), 1, func(int) error {
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
	if infoErr == nil &&
		(figures.DroppedLogLines == 0 || figures.Data.SavedClock == 0 || figures.Data.SaveError != "") {
		infoErr = fmt.Errorf(
			"%d lines are dropped; saved up to change %d: %q",
			figures.DroppedLogLines,
			figures.Data.SavedClock,
			figures.Data.SaveError,
		)
	}
	return errors.Join(err, infoErr)
}

// unreadScreen has the witness served for a while.
func unreadScreen(a *attack) error {
	time.Sleep(a.scaled(2 * time.Second))
	return nil
}

// stuckControl fills the control socket with stuck clients, and saves by it.
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
		if took, bound := time.Since(start), a.scaled(8*time.Second); took > bound {
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
	if err := c.SetDeadline(time.Now().Add(defaultTimeout)); err != nil {
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
