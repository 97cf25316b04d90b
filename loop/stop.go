package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// hurriedSaveTime is how long a save may still take after Hurry.
const hurriedSaveTime = time.Second

var (
	// ErrUnsaved is wrapped in the error that a server ends with if its last save failed, or its
	// journal.
	ErrUnsaved = errors.New("the tables could not be saved at the end")

	errCutShort = errors.New("the server was asked to stop immediately")
)

// hurry is the request to cut a stop short.
type hurry struct {
	once  sync.Once
	asked chan struct{} // closed by Hurry
	over  atomic.Bool   // saves must not continue
}

// Hurry cuts a stop short. Connections that are not drained yet are dropped, and a load that has
// begun changes nothing. The last save is not begun if the journal holds every change. Otherwise it
// gets hurriedSaveTime, and so does a save that has begun. The journal is written and synced in any
// case. The log says how many changes are lost, if any.
func (srv *Server) Hurry() {
	srv.hurry.once.Do(func() {
		srv.requestSync()
		close(srv.hurry.asked)
		time.AfterFunc(hurriedSaveTime, func() { srv.hurry.over.Store(true) })
	})
}

// context returns one that ends with ctx, and by Hurry.
func (h *hurry) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-h.asked:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (h *hurry) isAsked() bool {
	select {
	case <-h.asked:
		return true
	default:
		return false
	}
}

// requestSync makes the journal sync soon: the process may be killed before the stop is over.
func (srv *Server) requestSync() {
	if srv.journal != nil {
		srv.journal.RequestSync(srv.store.Clock())
	}
}

// endData syncs the journal, saves for the last time and closes the files, once nothing changes the
// tables any more. Every end of a server with files calls it.
func (srv *Server) endData() error {
	if srv.cfg.Data.File == "" {
		return nil
	}
	defer func() {
		srv.saver.saving.Lock()
		defer srv.saver.saving.Unlock()
		srv.saver.unlockFile()
	}()
	if srv.readOnly { // nothing has changed
		return nil
	}
	clock := srv.store.Clock()
	journaled := srv.journal != nil && srv.journal.Sync(clock) == nil
	var err error
	if !journaled || !srv.hurry.isAsked() {
		err = srv.saver.save()
	}
	if journaled && errors.Is(err, errCutShort) {
		err = nil
	}
	err = errors.Join(err, srv.closeFiles())
	srv.saver.logEnd(clock)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsaved, err)
	}
	return nil
}

// closeFiles closes the journal and the reservation of LSNs.
func (srv *Server) closeFiles() error {
	if srv.numbers == nil || srv.readOnly {
		return nil
	}
	last := srv.saver.lastInFile()
	if srv.journal != nil {
		if err := srv.journal.Close(); err != nil {
			return errors.Join(err, srv.numbers.Close(0))
		}
		last = max(last, srv.journal.LastLSN())
	}
	return srv.numbers.Close(last)
}

// logEnd logs whether all changes up to a clock are on disk.
func (s *saver) logEnd(clock uint64) {
	if lost := s.lost(clock); lost > 0 {
		s.srv.log.Error("lost: the last changes are not on disk",
			slog.Uint64("changes", lost), slog.Uint64("clock", clock))
		return
	}
	s.srv.log.Info("every change is on disk", slog.Uint64("clock", clock))
}

// lost returns how many of the LSNs up to a clock belong to changes that neither the file nor the
// journal holds. A load may skip LSNs, so there may be fewer changes.
func (s *saver) lost(clock uint64) uint64 {
	s.mu.Lock()
	kept := max(s.began, s.file.LSN)
	s.mu.Unlock()
	if s.srv.journal != nil {
		kept = max(kept, s.srv.journal.Durable())
	}
	return clock - min(kept, clock)
}
