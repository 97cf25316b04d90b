package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"syscall"

	"cyberdb-fast/loop/web"
)

// httpAddress is a flag whose value is an address to listen on with its port, or nothing.
type httpAddress struct{ to *string }

func (a *httpAddress) String() string { return *a.to }

// Type returns the placeholder for the value in the help.
func (a *httpAddress) Type() string { return "address" }

// Set reads 127.0.0.1:9981, [::1]:9981 or :9981, which means every address.
func (a *httpAddress) Set(text string) error {
	_, port, err := net.SplitHostPort(text)
	if text != "" {
		if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil {
			return errors.New("must be an address and a port, such as 127.0.0.1:9981; :9981 means every address")
		}
	}
	*a.to = text
	return nil
}

// otherDescriptors returns how many files are needed besides those of the server.
func (c *config) otherDescriptors() int {
	if c.http == "" {
		return 0
	}
	return web.MaxConns + 1
}

// httpWarnings warns about what HTTP does not protect.
func (c *config) httpWarnings() []string {
	if !reachedFromElsewhere(c.http) {
		return nil
	}
	return []string{
		"--http " + c.http + ": HTTP is not encrypted: an eavesdropper on the network learns the password. Listen " +
			"on 127.0.0.1, behind a proxy with TLS if other machines ask",
	}
}

// listenHTTP starts the HTTP server; nil: there is none.
func (c *config) listenHTTP(log *slog.Logger) (*web.Server, error) {
	if c.http == "" {
		return nil, nil
	}
	pages, err := web.Listen(c.http, log)
	if err != nil {
		return nil, explainHTTP(err, c.http)
	}
	return pages, nil
}

// explainHTTP turns an error of web.Listen into one line that says what to do.
func explainHTTP(err error, address string) error {
	var errno syscall.Errno
	switch {
	case !errors.As(err, &errno):
		return fmt.Errorf("--http %s: no such host; give an address of this machine, such as 127.0.0.1:9981", address)
	case errno == syscall.EADDRINUSE:
		return fmt.Errorf(
			"cannot listen on --http %s: %w: another program uses this port; choose another",
			address,
			errno,
		)
	}
	return fmt.Errorf("cannot listen on --http %s: %w: choose another address and port", address, errno)
}

// metricsURL returns where the HTTP server shows its metrics, "" if there is none.
func metricsURL(pages *web.Server) string {
	if pages == nil {
		return ""
	}
	return (&url.URL{Scheme: "http", Host: pages.Addr().String(), Path: "/metrics"}).String()
}
