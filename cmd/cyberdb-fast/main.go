package main

import (
	"errors"
	"fmt"
	"os"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // serving, stopping or what a command was asked for failed
	exitUsage  = 2 // could not start with these settings
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command with all its subcommands. It returns the exit code.
func run(args []string, stdout, stderr *os.File) int {
	queue := newLogQueue(stderr)
	defer queue.close(flushTime)
	server := newServer(args, stdout, queue)
	root := newRoot(server, stdout, stderr)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var ended *exitError
	if !errors.As(err, &ended) {
		ended = &exitError{exitFailed, err}
	}
	if ended.reason != nil {
		server.explain(ended.reason)
	}
	return ended.code
}

// exitError ends the program with an exit code. Other errors of commands end it with exitFailed.
type exitError struct {
	code   int
	reason error // printed in one line; nil: the command has printed it
}

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d: %v", e.code, e.reason) }
func (e *exitError) Unwrap() error { return e.reason }

// usageError is for arguments and settings with which nothing can be done.
func usageError(reason error) error { return &exitError{exitUsage, reason} }

// exitWith returns the error of a command that has printed all that there is to say.
func exitWith(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code, nil}
}
