package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"cyberdb-fast/loop"
)

const (
	headerTime     = 5 * time.Second // for a request to arrive
	readTime       = headerTime + loginTime
	responseTime   = 30 * time.Second
	idleTime       = 2 * time.Minute // between two requests of a connection
	maxHeaderBytes = 16 << 10
	aliveTime      = 3 * time.Second // in which event loops answer, unless they hang
	// endTime is how long responses may take once the database has ended.
	endTime = time.Second
)

// Server is the HTTP server of one database. Its methods may be called from any goroutine.
type Server struct {
	log   *slog.Logger
	ln    *listener
	http  http.Server
	pages *http.ServeMux
	db    atomic.Pointer[loop.Server] // nil while the tables are loaded
	shown scrape
}

// Listen starts a server on an address, "127.0.0.1:9981"; port 0 lets the system choose. Until
// Serve it says that the tables are loaded. Close ends it, or the end of its database.
func Listen(addr string, log *slog.Logger) (*Server, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return start(ln, log), nil
}

func start(ln net.Listener, log *slog.Logger) *Server {
	s := &Server{log: log, ln: newListener(ln)}
	s.pages = s.newMux()
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      responseTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		// What clients do wrong fills no log.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = s.http.Serve(s.ln) }() // it ends by Close alone
	return s
}

// Addr returns the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Serve gives the server the database that it shows. It ends with it.
func (s *Server) Serve(db *loop.Server) {
	s.db.Store(db)
	go func() {
		_ = db.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			s.Close()
		}
	}()
}

// Close ends the server and its connections.
func (s *Server) Close() { _ = s.http.Close() }

// newMux returns the pages. HEAD is answered as GET, other methods and paths are refused.
func (s *Server) newMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", s.metrics)
	return mux
}

// serve answers a request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	defer s.recoverPanic(w)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !s.admit(w, r) {
		return
	}
	c := connOf(r)
	c.setBusy(true)
	defer c.setBusy(false)
	s.pages.ServeHTTP(w, r)
}

// recoverPanic, deferred, answers a request whose page has panicked.
func (s *Server) recoverPanic(w http.ResponseWriter) {
	p := recover()
	if p == nil {
		return
	}
	const where = "panic while an HTTP request was answered"
	if db := s.db.Load(); db != nil {
		db.ReportPanic(where, p)
	} else {
		s.log.Error(where, slog.Any("panic", p))
	}
	say(w, http.StatusInternalServerError, "internal error of the server")
}

// healthz says that the process serves, unless an event loop hangs. While the tables are loaded,
// and while they are saved for the last time, there are no event loops, and the process is to go
// on.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if db := s.db.Load(); db != nil {
		if err := alive(r, db); errors.Is(err, context.DeadlineExceeded) {
			say(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	say(w, http.StatusOK, "ok")
}

// readyz says whether the server takes requests, and changes too.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	db := s.db.Load()
	err := db.Ready()
	if err == nil {
		err = alive(r, db)
	}
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	say(w, http.StatusOK, "ready")
}

// alive returns an error if an event loop does not answer in time.
func alive(r *http.Request, db *loop.Server) error {
	ctx, cancel := context.WithTimeout(r.Context(), aliveTime)
	defer cancel()
	return db.Alive(ctx)
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", s.shown.of(s.db.Load()))
}

// say answers with a line of text.
func say(w http.ResponseWriter, status int, line string) {
	send(w, status, "text/plain; charset=utf-8", []byte(line+"\n"))
}

func send(w http.ResponseWriter, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
