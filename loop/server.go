package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/stats"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// Server is a running server. Its methods may be called from any goroutine.
type Server struct {
	// constant after Start
	cfg        Config
	limits     limits
	log        *slog.Logger
	store      *shardmap.Store
	events     *gnet.Client // runs the event loops
	engine     *engine.Engine
	started    time.Time
	processors chan struct{} // a token per goroutine that works in the background
	extraLong  chan struct{} // the same for one more whose request is long for what the table holds
	extraShort chan struct{} // the same for one more that checks arguments, or makes a frame of a long read
	makers     chan struct{} // a token per frame of a long read that is made, or waits to be sent
	refusals   chan struct{} // a token per connection that gets the reason for its refusal
	background sync.WaitGroup
	journal    *persist.Journal // nil: none is kept
	numbers    *persist.Numbers // nil: the tables are in memory only
	readOnly   bool             // there was no room on the disk when the server started
	lost       persist.Lost     // at the start
	saver      saver
	control    *controlSocket // nil: none

	listeners []net.Listener
	accepting sync.WaitGroup
	ending    chan struct{} // closed when the event loops have ended
	done      chan struct{} // closed when the server has ended
	stopOnce  sync.Once
	stopErr   error
	sweeps    chan struct{} // closed to end the sweeper and the expirer
	expirer   *expirer
	hurry     hurry

	access          atomic.Pointer[access]
	accessMu        sync.Mutex // held while access is changed
	time            storeTime
	clock           coarseClock
	draining        atomic.Bool
	backlogged      atomic.Bool  // too much waits for the journal: requests that change anything are refused
	ioOnce          sync.Once    // journalBroken was called
	conns           atomic.Int64 // accepted and not yet closed
	streams         atomic.Int64 // long reads under way
	waiting         waitCounts   // requests that wait (waiter)
	backgroundJobs  atomic.Int64 // goroutines in the background: the loops yield to them
	counters        counters
	tags            stats.Tags // of tables whose use is counted
	figures         figures
	tableWalks      tableWalks
	syncs           syncTimes
	durableWaits    durableWaits
	logins          loginQueue
	unauthenticated unauthenticatedSet
	legacy          legacyServer
	memory          memoryLimit
	replies         replyBudget
	requests        requestBudget
	sessions        sessionSet
	loopsMu         sync.Mutex
	loops           map[gnet.EventLoop]*eventLoop // guarded by loopsMu
	wakers          []*waker                      // one for each event loop; constant after Start
	acceptLog       *limitedLog
	queueLog        *limitedLog
	logs            requestLogs
}

// Start loads what is on disk, listens on the configured addresses and serves them; it returns when
// connections are accepted.
//
// Errors: those of CheckDescriptors, of persist.Recover, with ErrData, of listening (wrapped; the
// address is named) and of the key derivation.
func Start(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return start(cfg, cfg.limits())
}

// start is Start for a Config that has all defaults.
func start(cfg Config, limits limits) (*Server, error) {
	if err := CheckDescriptors(cfg.MaxConns, cfg.OtherDescriptors); err != nil {
		return nil, err
	}
	if cfg.Commands != nil {
		own := *cfg.Commands
		cfg.Commands = &own
	}
	srv := &Server{
		cfg:        cfg,
		limits:     limits,
		log:        cfg.Logger,
		store:      cfg.newStore(),
		started:    time.Now(),
		processors: make(chan struct{}, backgroundProcessors(cfg.EventLoops)),
		extraLong:  make(chan struct{}, 1),
		extraShort: make(chan struct{}, 1),
		makers:     make(chan struct{}, streamMakers()),
		refusals:   make(chan struct{}, mayRefuse(cfg.MaxConns, cfg.OtherDescriptors, openFiles())),
		ending:     make(chan struct{}),
		done:       make(chan struct{}),
		sweeps:     make(chan struct{}),
		hurry:      hurry{asked: make(chan struct{})},
		loops:      make(map[gnet.EventLoop]*eventLoop),
	}
	srv.time.init(limits.wall)
	srv.durableWaits.init()
	if err := srv.restore(); err != nil {
		srv.saver.unlockFile()
		return nil, fmt.Errorf("%w: %w", ErrData, err)
	}
	srv.saver.began = srv.store.Clock()
	srv.store.OnPanic(srv.reclaimPanicked)
	if err := srv.serve(); err != nil {
		err = errors.Join(err, srv.closeFiles())
		srv.saver.unlockFile()
		return nil, err
	}
	return srv, nil
}

// serve initializes the parts of the server, listens, and runs the event loops.
func (srv *Server) serve() (err error) {
	cfg := &srv.cfg
	srv.legacy.init(srv.limits.unauthenticatedBytes)
	srv.logins.init(loginWorkers())
	srv.unauthenticated.init()
	srv.requests.limit, srv.requests.time = srv.limits.inputBytes, srv.limits.inputTime
	srv.replies.limit = srv.limits.outputBytes
	srv.memory.init(cfg.MaxMemoryBytes, cfg.evicts(), srv.store)
	srv.queueLog = &limitedLog{log: srv.log, every: time.Minute, last: make(map[string]*limitedMessage)}
	srv.acceptLog = &limitedLog{log: srv.log, every: time.Second, last: make(map[string]*limitedMessage)}
	srv.sessions.init()
	srv.logs.init(cfg.Thresholds)
	srv.clock.init(time.Now())
	if err := srv.initAccess(); err != nil {
		return err
	}
	debug.FreeOSMemory() // the derivation took 32 MiB and more, once
	if srv.listeners, err = listen(cfg); err != nil {
		return err
	}
	if err := srv.run(); err != nil {
		for _, ln := range srv.listeners {
			_ = ln.Close()
		}
		return err
	}
	return nil
}

// run starts the event loops, then accepts connections.
func (srv *Server) run() error {
	srv.expirer = newExpirer(srv)
	events, err := gnet.NewClient(&handler{srv: srv},
		gnet.WithNumEventLoop(srv.cfg.EventLoops),
		gnet.WithLoadBalancing(gnet.LeastConnections),
		gnet.WithReadBufferCap(readBufferBytes),
		gnet.WithLogger(gnetLog{srv.log}),
	)
	if err != nil {
		return fmt.Errorf("event loops: %w", err)
	}
	if err := events.Start(); err != nil {
		return fmt.Errorf("event loops: %w", err)
	}
	srv.events = events
	if err := srv.openWakers(); err != nil {
		srv.closeWakers()
		return errors.Join(err, events.Stop())
	}
	go srv.sweep()
	go srv.expirer.run()
	if srv.cfg.Data.File != "" {
		go srv.saver.run()
		srv.control = openControl(srv)
	}
	for _, ln := range srv.listeners {
		srv.accepting.Go(func() { srv.accept(ln) })
	}
	return nil
}

// Addr returns the TCP address that the server listens on, or the Unix socket's if there is no TCP.
func (srv *Server) Addr() net.Addr { return srv.listeners[0].Addr() }

// Store returns the tables that the server serves.
func (srv *Server) Store() *shardmap.Store { return srv.store }

// EventLoops returns the number of event loops.
func (srv *Server) EventLoops() int { return srv.cfg.EventLoops }

// Wait returns when the server has ended, with the error that ended it.
func (srv *Server) Wait() error {
	<-srv.done
	return srv.stopErr
}

// Stop ends the server. It accepts no new connections, answers the requests that have arrived, and
// closes the connections; when ctx ends first, it drops the rest and returns ctx's error. Last, it
// syncs the journal and saves the tables, if they are kept on disk, however long that takes. Hurry
// cuts it short.
func (srv *Server) Stop(ctx context.Context) error {
	srv.stopOnce.Do(func() {
		srv.stopErr = srv.stop(ctx)
		close(srv.done)
	})
	<-srv.done
	return srv.stopErr
}

func (srv *Server) stop(ctx context.Context) error {
	ctx, cancel := srv.hurry.context(ctx)
	defer cancel()
	for _, ln := range srv.listeners {
		_ = ln.Close()
	}
	srv.accepting.Wait()
	srv.draining.Store(true)
	srv.requestSync()
	err := srv.drain(ctx)
	close(srv.sweeps)
	<-srv.expirer.ended
	srv.memory.end()
	srv.control.close()
	err = errors.Join(err, srv.events.Stop())
	srv.closeWakers()
	for _, l := range srv.loops {
		l.timers.end()
	}
	return errors.Join(err, srv.finish(ctx), srv.endData())
}

// finish waits until the work in the background has ended.
func (srv *Server) finish(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		srv.background.Wait()
		close(ended)
	}()
	close(srv.ending)
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping: %d long requests have not ended: %w", srv.backgroundJobs.Load(), ctx.Err())
	}
}

// drain wakes each session until it has answered its input and closed.
func (srv *Server) drain(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if !srv.sessions.each(func(s *session) { s.wake() }) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("stopping: %d connections not drained: %w", srv.conns.Load(), ctx.Err())
		}
	}
}

// loopOf returns the eventLoop of el.
func (srv *Server) loopOf(el gnet.EventLoop) *eventLoop {
	srv.loopsMu.Lock()
	defer srv.loopsMu.Unlock()
	l := srv.loops[el]
	if l == nil {
		l = &eventLoop{srv: srv, exec: srv.engine.NewExecutor()}
		l.record.init()
		l.startTimers(el)
		srv.loops[el] = l
	}
	return l
}

// endTime is how long pending requests may take when the server ends by itself.
const endTime = 5 * time.Second

// endWith ends the server because of an error.
func (srv *Server) endWith(err error) {
	srv.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		srv.stopErr = errors.Join(err, srv.stop(ctx))
		close(srv.done)
	})
}
