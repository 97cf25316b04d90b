package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"cyberdb-fast/bench"
	"cyberdb-fast/loop/gnetecho"
)

// echoCommand is the first argument that makes this program an echo server, see startEchos.
const echoCommand = "serve-gnet-echo"

// serveEcho echoes until stdin ends: when the program that started this one ends.
func serveEcho(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return usagef("%s LOOPS is for cyberdb-bench itself: give --target gnet-echo:LOOPS", echoCommand)
	}
	loops, err := strconv.Atoi(args[0])
	if err != nil {
		return usagef("%s: %v", echoCommand, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // only its end matters
		cancel()
	}()
	return gnetecho.Serve(ctx, loops, func(address string) { fmt.Fprintln(stdout, address) })
}

// startEchos starts an echo server for every echo target and fills in its address. Each has its own
// process, so that its CPU time can be measured. stop ends all of them.
func startEchos(targets []bench.Target) (stop func() error, err error) {
	var stops []func() error
	stop = func() (err error) {
		for _, each := range stops {
			err = errors.Join(err, each())
		}
		return err
	}
	for i := range targets {
		if targets[i].Scheme != bench.SchemeEcho {
			continue
		}
		address, end, err := startEcho(targets[i].Loops)
		if err != nil {
			return stop, errors.Join(fmt.Errorf("echo server: %w", err), stop())
		}
		stops = append(stops, end)
		targets[i].Address = address
	}
	return stop, nil
}

func startEcho(loops int) (address string, stop func() error, err error) {
	program, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	child := exec.Command(program, echoCommand, strconv.Itoa(loops))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := child.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(stdin.Close(), child.Wait()) }
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return strings.TrimSpace(line), stop, nil
}
