package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// ErrData is wrapped in every error of Start that is about the files of Config.Data.
var ErrData = errors.New("cannot load the tables")

// restoring fills a store with what is on disk: tables from a .cdb file, then the journal's
// requests, replayed.
type restoring struct {
	log      *slog.Logger
	store    *shardmap.Store
	newStore func() *shardmap.Store
	commands *engine.Commands                // nil: the protocol's
	skip     map[uint64]bool                 // see engine.Replayer
	skipped  int                             // how many of the journal's requests were skipped
	panics   uint64                          // of replayed requests
	changes  uint64                          // of the journal, that the file does not hold
	partial  []*engine.PartiallyAppliedError // of further requests to skip: the store is of no use then

	done     func(*shardmap.Restorer) error // takes each complete table
	table    *shardmap.Restorer             // the current table; nil: none
	kind     persist.Kind
	entries  []shardmap.Entry
	packed   []byte
	replayer *engine.Replayer
}

// restore loads what Config.Data names, replays the journal and starts it. Errors: those of
// persist.Recover and of the tables.
func (srv *Server) restore() error {
	data := &srv.cfg.Data
	if data.File == "" {
		if srv.cfg.NewLog == nil {
			srv.store.SetClock(persist.NewClock())
		}
		srv.startEngine()
		return nil
	}
	if err := data.FS.MkdirAll(filepath.Dir(data.File)); err != nil {
		return err
	}
	srv.saver.srv = srv
	if err := srv.saver.lockFile(); err != nil {
		return err
	}
	srv.saver.removeAbandoned()
	target, found, err := srv.restored()
	if err != nil {
		return err
	}
	srv.store = target.store
	srv.time.startAt(found.Time)
	srv.now()
	if srv.store.Clock() < found.Clock {
		srv.store.SetClock(found.Clock)
	}
	if err := srv.startFiles(found); err != nil {
		return err
	}
	srv.startEngine()
	srv.saver.init(srv, found, target.changes)
	srv.reportLost(found)
	if found.Loaded != "" || found.Replay.Operations > 0 {
		srv.log.Info(
			"loaded",
			slog.String("file", found.Loaded),
			slog.Int("tables", srv.store.Len()),
			slog.Uint64("items", found.File.Items),
			slog.Int("replayed", found.Replay.Operations),
			slog.Uint64("clock", found.Clock),
			took(srv.started),
		)
	}
	if target.skipped > 0 && !srv.readOnly {
		srv.saver.recordSkipped(target.skipped)
	}
	return nil
}

// startFiles starts to write to the recovered files. If the disk has no room for that, the server
// is read-only: it changes neither the tables nor a file.
func (srv *Server) startFiles(found *persist.Recovered) error {
	srv.numbers, srv.journal = found.Numbers, found.Journal
	err := srv.beginFiles(found)
	if err == nil || !persist.NoRoom(err) || srv.cfg.Data.ExitOnIOError {
		return err
	}
	srv.readOnly = true
	why := fmt.Errorf("the disk was full when the server started (%w): free disk space, then restart it", err)
	srv.numbers.Fail(why)
	if srv.journal != nil {
		srv.journal.Fail(why)
	}
	srv.log.Error("the disk is full, the server is read-only: free disk space, then restart",
		slog.Any("error", err))
	return nil
}

// beginFiles reserves the first LSNs and starts the journal, if there is room for both.
func (srv *Server) beginFiles(found *persist.Recovered) error {
	if srv.journal == nil {
		return srv.numbers.Start(srv.store.Clock)
	}
	if err := srv.journal.Probe(); err != nil {
		return err
	}
	if err := srv.numbers.Start(srv.store.Clock); err != nil {
		return err
	}
	if err := srv.journal.Start(found.Clock+1, srv.time.now()); err != nil {
		return errors.Join(err, srv.numbers.Close(0))
	}
	return nil
}

// reportLost logs what the start has cut off the journal, and where that is kept.
func (srv *Server) reportLost(found *persist.Recovered) {
	srv.lost = found.Lost()
	cut := found.Replay.Truncation
	switch {
	case cut == nil:
	case cut.SaveErr != nil:
		srv.log.Warn(
			"the part that was cut off the journal is not kept",
			slog.String("file", cut.File),
			slog.Int64("bytes", cut.Bytes),
			slog.Any("error", cut.SaveErr),
		)
	case len(cut.SavedAs) > 0:
		srv.log.Warn(
			"the part that was cut off the journal is kept",
			slog.Any("files", cut.SavedAs),
			slog.Int64("bytes", cut.Bytes),
			slog.Uint64("from", cut.LSN),
			slog.Int("operations", cut.Operations),
		)
	}
}

// restored fills a store. A request of the journal that panics in the middle of its change would
// leave its table partially changed. Then everything is loaded again, without the request.
func (srv *Server) restored() (*restoring, *persist.Recovered, error) {
	data := &srv.cfg.Data
	journalOptions := persist.Options{
		Policy: data.Fsync, SegmentBytes: data.SegmentBytes, Repair: data.Repair, InFlightBytes: srv.inFlightBytes(),
		OnFull: srv.onFull, OnSync: srv.onSync, OnSegmentErr: srv.onBegin, SyncTook: srv.syncs.record,
		Semantics: engine.Semantics,
	}
	skip := make(map[uint64]bool)
	for {
		target := &restoring{
			log:      srv.log,
			store:    srv.cfg.newStore(),
			newStore: srv.cfg.newStore,
			commands: srv.cfg.Commands,
			done:     (*shardmap.Restorer).Done,
			skip:     skip,
		}
		found, err := persist.Recover(data.FS, persist.Start{
			File:      data.File,
			Journal:   data.Journal,
			Options:   journalOptions,
			NoJournal: data.NoJournal,
			Numbers: persist.NumbersOptions{
				InFlight: srv.numbersInFlight(),
				OnRenew:  srv.onRenew,
			},
			Workers:  runtime.GOMAXPROCS(0),
			Progress: data.Progress,
			Warn:     func(what string) { srv.log.Warn(what) },
		}, target)
		if err == nil {
			err = target.finish()
		}
		if len(target.partial) == 0 {
			srv.counters.panics.Add(target.panics)
			srv.reportPersistPanic("panic while a file was loaded", err)
			return target, found, err
		}
		for _, partial := range target.partial {
			skip[partial.LSN] = true
			srv.counters.panics.Add(1)
			srv.log.Error(
				"a recorded request panics in the middle of its change: it is skipped, and everything is loaded again",
				slog.Uint64("lsn", partial.LSN),
				slog.String("op", partial.Op.String()),
				slog.String("table", partial.Table),
				slog.Any("panic", partial.Panic),
			)
		}
		debug.FreeOSMemory() // what was loaded
	}
}

// Begin implements persist.Target.
func (r *restoring) Begin(file persist.FileInfo) error {
	if r.table != nil {
		r.table.Discard()
		r.table = nil
	}
	r.store.Tables(func(name string, _ shardmap.Kind, _ int) bool {
		_ = r.store.Drop(&shardmap.Call{MayBlock: true}, name) // a new store takes its place
		return true
	})
	if r.store.Clock() > 0 {
		r.store = r.newStore()
	}
	r.store.SetClock(file.LSN)
	if saved := file.Created.UnixMilli(); saved > 0 {
		r.store.MarkAt(saved, file.LSN)
	}
	return nil
}

// Table implements persist.Loader.
func (r *restoring) Table(t persist.Table) (err error) {
	if err := r.endTable(); err != nil {
		return err
	}
	kind := shardmap.KindDict
	if t.Kind == persist.List {
		kind = shardmap.KindList
	}
	if t.Kind == persist.Locks {
		kind = shardmap.KindLocks
	}
	r.kind = t.Kind
	if r.table, err = r.store.Restore(t.Name, kind, t.Created, int(t.Items)); err != nil {
		return err
	}
	if kind == shardmap.KindList {
		return r.table.ConfigureList(shardmap.QueueOptions{
			MaxDeliveries: int(t.Queue.MaxDeliveries), DeadLetter: t.Queue.DeadLetter,
		})
	}
	return r.table.Configure(settingsOf(&t.Options), marksOf[shardmap.Mark](t.Marks))
}

// Block implements persist.Loader.
func (r *restoring) Block(b *persist.Block) error {
	if r.kind == persist.List {
		return r.list(b)
	}
	r.entries = r.entries[:0]
	for e := range b.Entries() {
		r.entries = append(r.entries, shardmap.Entry(e))
	}
	return r.table.Entries(r.entries)
}

// list restores a block of a list.
func (r *restoring) list(b *persist.Block) error {
	for h := range b.Held() {
		if err := r.table.Held(shardmap.HeldItem(h)); err != nil {
			return err
		}
	}
	n := 0 // elements in packed
	r.packed = r.packed[:0]
	for deliveries, e := range b.Counted() {
		if deliveries == 0 {
			r.packed, n = append(r.packed, e...), n+1
			continue
		}
		if err := r.table.Elements(r.packed, n); err != nil {
			return err
		}
		r.packed, n = r.packed[:0], 0
		if err := r.table.Counted(deliveries, e); err != nil {
			return err
		}
	}
	return r.table.Elements(r.packed, n)
}

func (r *restoring) endTable() error {
	if r.table == nil {
		return nil
	}
	table := r.table
	r.table = nil
	return r.done(table)
}

// Apply implements persist.Target.
func (r *restoring) Apply(op persist.Operation) error {
	if r.replayer == nil {
		if err := r.endTable(); err != nil {
			return err
		}
		r.replayer = engine.NewReplayer(engine.Env{Store: r.store, Logger: r.log, Commands: r.commands})
		r.replayer.Skip(r.skip)
	}
	if len(op.Request) > 0 { // otherwise it only takes its LSNs
		r.changes += op.N
	}
	err := r.replayer.Apply(engine.Operation(op))
	var partial *engine.PartiallyAppliedError
	if !errors.As(err, &partial) {
		return err
	}
	r.partial = append(
		r.partial,
		partial,
	) // continue, to find all of them in one pass: no later request is for its table
	r.store.SetClock(op.LSN + op.N - 1)
	return nil
}

func (r *restoring) finish() error {
	err := r.endTable()
	if errors.Is(err, shardmap.ErrTableExists) {
		err = errors.Join(err, errors.New("a .cdb file holds two tables of one name"))
	}
	if r.replayer != nil {
		r.replayer.End()
		r.skipped, r.panics = r.replayer.Skipped(), r.replayer.Panics()
	}
	r.entries, r.packed, r.replayer = nil, nil, nil
	return err
}
