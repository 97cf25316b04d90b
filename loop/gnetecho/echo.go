// Package gnetecho is a bare TCP echo server on gnet, with the settings that package loop uses: the
// upper bound of any server on this event loop. The load generator measures it together with the
// servers.
package gnetecho

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// Serve echoes on a free loopback port until ctx ends. loops is the number of event loops, 1 or
// more; ready is called with the address once connections are taken.
func Serve(ctx context.Context, loops int, ready func(address string)) error {
	if loops < 1 {
		return fmt.Errorf("%d event loops asked for", loops)
	}
	address, err := freeAddress()
	if err != nil {
		return fmt.Errorf("echo server: %w", err)
	}
	e := &echo{ready: func() { ready(address) }}
	stop := context.AfterFunc(ctx, e.stop)
	defer stop()
	err = gnet.Run(
		e,
		"tcp://"+address,
		gnet.WithNumEventLoop(loops),
		gnet.WithTCPNoDelay(gnet.TCPNoDelay),
		gnet.WithLogger(quiet{}),
	)
	if err != nil {
		return fmt.Errorf("echo server: %w", err)
	}
	return nil
}

// freeAddress returns a loopback address with a free port, because gnet does not report the port
// that the system chooses.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

type echo struct {
	gnet.BuiltinEventEngine
	engine  atomic.Pointer[gnet.Engine]
	stopped atomic.Bool
	ready   func()
}

// stop ends the server, even if it is called before the start.
func (e *echo) stop() {
	e.stopped.Store(true)
	if engine := e.engine.Load(); engine != nil {
		const limit = 5 * time.Second
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_ = engine.Stop(ctx) // a connection that does not end in time ends with the process
	}
}

func (e *echo) OnBoot(engine gnet.Engine) gnet.Action {
	e.engine.Store(&engine)
	if e.stopped.Load() {
		return gnet.Shutdown
	}
	e.ready()
	return gnet.None
}

func (e *echo) OnTraffic(c gnet.Conn) gnet.Action {
	input, err := c.Next(-1)
	if err == nil {
		_, err = c.Write(input)
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return gnet.Close
	}
	return gnet.None
}

// quiet drops gnet's messages; what ends the server is returned by Serve.
type quiet struct{}

func (quiet) Debugf(string, ...any) {}
func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
