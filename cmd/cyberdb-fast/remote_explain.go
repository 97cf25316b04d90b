package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
)

// noServerError is the error of an address where nothing listens. It counts as a refusal, after
// which a request fails at once: clients wait for servers that do not answer.
type noServerError struct {
	where string
	cause error
}

func (e *noServerError) Error() string   { return fmt.Sprintf("no server at %s (%v)", e.where, e.cause) }
func (e *noServerError) Unwrap() []error { return []error{client.ErrRefused, e.cause} }

// dial makes the connections of the client.
func (r *remote) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	const keepAlive = 15 * time.Second
	dialer := net.Dialer{KeepAlive: keepAlive}
	conn, err := dialer.DialContext(ctx, network, addr)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		err = &noServerError{r.shown, innermost(err)}
	}
	return conn, err
}

// explainAbsent says what to do if there is no server, or it does not answer; nil: that is not why.
func (r *remote) explainAbsent(err error) error {
	var absent *noServerError
	var timeout net.Error
	switch {
	case errors.As(err, &absent):
		return fmt.Errorf("%w: start one with `cyberdb-fast`, or name another by its URL or by --dir", absent)
	case errors.Is(err, client.ErrDeadlineExceeded): // the server has answered
		return nil
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer from %s within %v", r.shown, r.timeout)
	}
	return nil
}

// explainOpen says why there is no connection, and what to do.
func (r *remote) explainOpen(err error) error {
	if r.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	if absent := r.explainAbsent(err); absent != nil {
		return absent
	}
	var host *net.DNSError
	var network *net.OpError
	switch {
	case errors.Is(err, client.ErrWrongPassword):
		return fmt.Errorf("%s: %w: give the password in the URL, in CYBERDB_PASSWORD or its file in "+
			"CYBERDB_PASSWORD_FILE", r.shown, client.ErrWrongPassword)
	case errors.As(err, &host):
		return fmt.Errorf("no host is called %q: write the server's URL as cyberdb://host:port or unix:///path",
			host.Name)
	case errors.As(err, &network):
		return fmt.Errorf("cannot connect to %s: %w", r.shown, innermost(network))
	}
	return errors.New(withoutPackage(err.Error()))
}

// explain says in one line why a request has failed.
func (r *remote) explain(err error) string {
	if absent := r.explainAbsent(err); absent != nil {
		return absent.Error()
	}
	return withoutPackage(eval.Explain(err))
}

// withoutPackage returns the text of an error of the client, without the name of its package.
func withoutPackage(text string) string {
	return strings.TrimPrefix(strings.TrimPrefix(text, "cyberdb: "), "client: ")
}

// innermost returns the cause of an error, without the texts around it.
func innermost(err error) error {
	for next := err; next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
