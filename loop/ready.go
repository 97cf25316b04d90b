package loop

import "errors"

var errStopping = errors.New("the server is stopping")

// Ready returns nil if the server takes requests, and changes too, otherwise why it does not.
func (srv *Server) Ready() error {
	if srv.draining.Load() {
		return errStopping
	}
	return srv.writable()
}

// ReportPanic logs and counts a panic of a goroutine that works for the server, and has recovered.
func (srv *Server) ReportPanic(where string, p any) { _ = srv.reportPanic(where, p, nil) }
