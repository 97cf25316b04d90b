package loop

import (
	"log/slog"
	"runtime/debug"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// A defect in a command is a panic. It costs the connection that met it, and the table that the command was changing, if the change was half made: that table is spoiled
// (shardmap.Call.Abandon) and is not saved any more. Whoever recovers from a panic in a command calls defect.

// defect counts and logs a panic, and gives back what the call, if there is one, holds. It returns the error that clients get.
func (srv *Server) defect(where string, p any, call *shardmap.Call, more ...any) *codec.Error {
	srv.counters.panics.Add(1)
	attrs := append([]any{slog.Any("panic", p), slog.String("stack", string(debug.Stack()))}, more...)
	if call != nil {
		if spoiled := call.Abandon(); spoiled != nil {
			attrs = append(attrs, slog.String("half_changed", spoiled.Name()))
		}
	}
	srv.log.Error(where, attrs...)
	return &codec.Error{Status: codec.StatusInternal, Message: "defect in the server"}
}
