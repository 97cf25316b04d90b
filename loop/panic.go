package loop

import (
	"errors"
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// A defect in a command is a panic. It costs the connection that met it, and the table that the
// command was changing, if the change was half made: that table is spoiled (shardmap.Call.Release)
// and is not saved any more. Whoever recovers from a panic in a command calls defect.

// defect is engine.Engine.Defect.
func (srv *Server) defect(where string, p any, call *shardmap.Call, more ...any) *codec.Error {
	return srv.engine.Defect(where, p, call, more...)
}

// recovered, deferred on a goroutine of the server's own, keeps a panic from ending the process.
func (srv *Server) recovered(where string) {
	if p := recover(); p != nil {
		_ = srv.defect(where, p, nil)
	}
}

// persistDefect counts and logs a panic on one of persist's goroutines, if err is one.
func (srv *Server) persistDefect(where string, err error) {
	var p *persist.PanicError
	if errors.As(err, &p) {
		srv.counters.panics.Add(1)
		srv.log.Error(where, slog.Any("panic", p.Value), slog.String("stack", string(p.Stack)))
	}
}

// memoryStays is told of a panic while memory was given back in the background.
func (srv *Server) memoryStays(p any) {
	_ = srv.defect("panic while memory was given back: what is left of it stays in use until the restart", p, nil)
}
