package loop

import (
	"errors"
	"log/slog"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// A panic in a command closes the connection of its client. If the command was in the middle of a
// change, the table is poisoned (shardmap.Call.Release) and not saved any more. Every function that
// recovers from a panic calls reportPanic.

// reportPanic is engine.Engine.ReportPanic.
func (srv *Server) reportPanic(where string, p any, call *shardmap.Call, more ...any) *codec.Error {
	return srv.engine.ReportPanic(where, p, call, more...)
}

// recovered, deferred on a goroutine of the server's own, keeps a panic from ending the process.
func (srv *Server) recovered(where string) {
	if p := recover(); p != nil {
		_ = srv.reportPanic(where, p, nil)
	}
}

// reportPersistPanic counts and logs a panic on one of persist's goroutines, if err is one.
func (srv *Server) reportPersistPanic(where string, err error) {
	var p *persist.PanicError
	if errors.As(err, &p) {
		srv.counters.panics.Add(1)
		srv.log.Error(where, slog.Any("panic", p.Value), slog.String("stack", string(p.Stack)))
	}
}

// reclaimPanicked is called after a panic while memory was freed in the background.
func (srv *Server) reclaimPanicked(p any) {
	_ = srv.reportPanic("panic while memory was freed: the rest of it stays in use until the restart", p, nil)
}
