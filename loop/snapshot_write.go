package loop

import (
	"fmt"
	"log/slog"
	"time"

	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// writeOwn writes the tables as of one moment to the data file.
func (s *saver) writeOwn() (persist.FileInfo, error) {
	info, err := s.write(s.srv.cfg.Data.File)
	if err == nil {
		if err := s.lockFile(); err != nil {
			s.srv.log.Warn("the data file is not locked", slog.Any("error", err))
		}
	}
	return info, err
}

// write cuts a view of the store and writes it to a file. A panic in it becomes an error.
//
// Errors: ErrMoved is wrapped if the data directory is not the one that the server started with.
func (s *saver) write(file string) (info persist.FileInfo, err error) {
	if err := s.srv.numbers.Check(); err != nil {
		return info, err
	}
	if info, err = s.writeView(file); err == nil {
		err = s.srv.numbers.Check()
	}
	return info, err
}

func (s *saver) writeView(file string) (info persist.FileInfo, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.srv.reportPanic("panic in a save", p, nil)
		}
	}()
	view := s.srv.store.View()
	defer view.Close()
	// Read after the cut, so that no change that the view shows has a later time.
	stamp := persist.Stamp{Database: s.database, LSN: view.LSN(), Created: time.UnixMilli(s.srv.now())}
	data := &s.srv.cfg.Data
	for name, table := range view.Tables() {
		if err := savable(name, table); err != nil {
			return persist.FileInfo{}, err
		}
	}
	return persist.WriteFile(data.FS, file, stamp, persist.S2, func(w *persist.Writer) error {
		pace := newThrottle(s.srv)
		for name, table := range view.Tables() {
			if err := s.table(w, name, table, pace); err != nil {
				return err
			}
		}
		// The journal must not be behind the file: else LSNs that the file covers could be assigned
		// again after a crash. A broken journal stays behind, and is not written any more.
		if j := s.srv.journal; j != nil {
			_ = j.Sync(view.LSN())
		}
		return nil
	})
}

// savable returns an error if a table is poisoned.
func savable(name string, table *shardmap.TableView) error {
	if err := table.Err(); err != nil {
		return fmt.Errorf("table %q cannot be saved: %w; restart the server, or drop the table", name, err)
	}
	return nil
}

// table writes one table. A panic in it becomes an error.
func (s *saver) table(w *persist.Writer, name string, table *shardmap.TableView, pace *throttle) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("table %q cannot be saved: %w", name, s.srv.reportPanic("panic in a save", p, nil))
		}
	}()
	if err := pace.wrote(); err != nil {
		return err
	}
	if err := writeTable(w, name, table, pace); err != nil {
		return err
	}
	return savable(name, table)
}

func writeTable(w *persist.Writer, name string, table *shardmap.TableView, pace *throttle) error {
	t := persist.Table{Name: name, Kind: persist.Dict, Created: table.Created()}
	if table.Kind() == shardmap.KindLocks {
		t.Kind = persist.Locks
	}
	if list := table.List(); list != nil {
		t.Kind = persist.List
		return writeList(w, t, list, pace)
	}
	t.Options, t.Marks = optionsOf(table.Dict().Settings()), marksOf[persist.Mark](table.Dict().Marks())
	if err := w.Table(t); err != nil {
		return err
	}
	for e := range table.Dict().ShowHidden().Drain() { // frees what writers have handed over as it is written
		if err := w.Entry(persist.Entry(e)); err != nil {
			return err
		}
		if err := pace.wrote(); err != nil {
			return err
		}
	}
	return nil
}

// writeList writes a list, with the items that it holds.
func writeList(w *persist.Writer, t persist.Table, list *shardmap.ListView, pace *throttle) error {
	o := list.Options()
	t.Queue = persist.Queue{MaxDeliveries: uint64(o.MaxDeliveries), DeadLetter: o.DeadLetter}
	if err := w.Table(t); err != nil {
		return err
	}
	for h := range list.Held() {
		if err := w.Held(persist.HeldItem(h)); err != nil {
			return err
		}
		if err := pace.wrote(); err != nil {
			return err
		}
	}
	for n, val := range list.Counted() {
		if err := w.Counted(n, val); err != nil {
			return err
		}
		if err := pace.wrote(); err != nil {
			return err
		}
	}
	return nil
}
