package loop

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/panjf2000/gnet/v2"
)

// Alive returns nil once every event loop has executed a task, each in its turn among the requests.
//
// Errors: ctx's, with the number of event loops that have not; the end of the server.
func (srv *Server) Alive(ctx context.Context) error {
	srv.loopsMu.Lock()
	loops := slices.Collect(maps.Keys(srv.loops))
	srv.loopsMu.Unlock()
	turns := make(chan struct{}, len(loops))
	for _, el := range loops {
		if err := el.Execute(ctx, gnet.RunnableFunc(func(context.Context) error {
			turns <- struct{}{}
			return nil
		})); err != nil {
			return fmt.Errorf("an event loop has ended: %w", err)
		}
	}
	for left := len(loops); left > 0; left-- {
		select {
		case <-turns:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d event loops do not answer: %w", left, len(loops), ctx.Err())
		}
	}
	return nil
}
