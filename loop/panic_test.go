package loop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/persist"
	"cyberdb-fast/persist/fstest"
	"cyberdb-fast/shardmap"
)

// Opcodes of commands that panic and change the table "d".
const (
	opPanicsInChange codec.Opcode = 0xe8 + iota
	opPanicsAfterChange
	opPanicsInCreate
	opPanicsInDrop
	opPanicsInNaming
	opPanicsInRename
)

// panickingLog panics in the middle of a change: its LSNs are assigned and recorded, and nothing
// else is done.
type panickingLog struct{ shardmap.Log }

func (l panickingLog) Append(lsn, n uint64, time int64, request []byte) {
	if l.Log != nil {
		l.Log.Append(lsn, n, time, request)
	}
	panic("defect")
}

// faulty are commands that panic.
type faulty struct {
	commands *engine.Commands
	fixed    atomic.Bool // they do not panic any more
}

func newFaulty() *faulty {
	d := &faulty{}
	set := func(x *engine.Executor) error {
		table, _ := x.Store().Lookup(x.Call(), []byte("d"))
		x.TableName = []byte("d")
		key, val := value.AppendStr(nil, "defect"), value.AppendStr(nil, "set")
		return table.Dict().Set(x.Call(), key, val)
	}
	// A panic after the LSN is assigned and before the name is taken.
	numbered := func(x *engine.Executor, change func() error) error {
		if c := x.Call(); !d.fixed.Load() {
			log := c.Log
			defer func() { c.Log = log }()
			c.Log = panickingLog{log}
		}
		return change()
	}
	rows := make(map[codec.Opcode]engine.Command)
	for op, run := range map[codec.Opcode]func(x *engine.Executor) error{
		opPanicsInChange: func(x *engine.Executor) error { return numbered(x, func() error { return set(x) }) },
		opPanicsAfterChange: func(x *engine.Executor) error {
			if err := set(x); err != nil || d.fixed.Load() {
				return err
			}
			panic("defect")
		},
		opPanicsInCreate: func(x *engine.Executor) error {
			content := value.AppendStr(nil, "one")
			if !d.fixed.Load() {
				content = nil
			}
			_, err := x.Store().Create(x.Call(), "d", shardmap.KindList, content, 1)
			return err
		},
		opPanicsInDrop: func(x *engine.Executor) error {
			return numbered(x, func() error { return x.Store().Drop(x.Call(), "d") })
		},
		opPanicsInNaming: func(x *engine.Executor) error {
			return numbered(x, func() error {
				_, err := x.Store().Create(x.Call(), "new", shardmap.KindDict, nil, 0)
				return err
			})
		},
		opPanicsInRename: func(x *engine.Executor) error {
			return numbered(x, func() error { return x.Store().Rename(x.Call(), "d", "new") })
		},
	} {
		rows[op] = engine.Command{Mutates: true, Run: run}
	}
	d.commands = commandsWith(rows)
	return d
}

// startOnDisk is keptServer for a server that may end with an error and has these commands.
func (d *faulty) startOnDisk(t *testing.T, fsys persist.FS, log io.Writer) *Server {
	t.Helper()
	return startWith(t, Config{Data: dataOn(fsys, nil), Commands: d.commands}, log)
}

// startOnDisk is keptServer for a server that may end with an error.
func startOnDisk(t *testing.T, fsys persist.FS, log io.Writer, change func(d *Data)) *Server {
	t.Helper()
	return startWith(t, Config{Data: dataOn(fsys, change)}, log)
}

func startWith(t *testing.T, cfg Config, log io.Writer) *Server {
	t.Helper()
	cfg.Addr, cfg.EventLoops, cfg.Password, cfg.KDF, cfg.Encrypt = "127.0.0.1:0", 2, testPassword, testKDF, *encrypted
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	srv, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// TestPanicAndRestart: a request that panics once it is recorded closes its connection, and
// poisons its table if it was in the middle of the change. The next start succeeds, whether or not
// the request panics again.
func TestPanicAndRestart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op      codec.Opcode
		partial bool // its change is partially applied
		fixed   bool // it does not panic in the next start
		made    bool // after the restart
	}{
		"in the change":              {opPanicsInChange, true, false, false},
		"in the change, fixed":       {opPanicsInChange, true, true, true},
		"after the change":           {opPanicsAfterChange, false, false, true},
		"after the change and fixed": {opPanicsAfterChange, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			known := newFaulty()
			disk, log := newDisk(), &bytes.Buffer{}
			srv := known.startOnDisk(t, disk, log)
			w := dial(t, srv)
			w.ok(codec.OpCreateDict, "d", false, "a", 1)
			w.ok(codec.OpCreateList, "other", false)
			bad := dial(t, srv)
			bad.write(bad.request(c.op))
			if !bad.closed() {
				t.Fatal("the connection stays open")
			}
			if c.partial {
				for op, args := range map[codec.Opcode][]any{
					codec.OpDictGet: {"d", "a"}, codec.OpDictDelete: {"d", "a"}, codec.OpDictLen: {"d"},
				} {
					if e := w.fails(
						codec.StatusInternal,
						op,
						args...); e.Table != "d" ||
						!strings.Contains(e.Message, `"d"`) {
						t.Error(e)
					}
				}
				if there := w.ok(codec.OpExists, "d"); there[0] != true {
					t.Error(there)
				}
				w.ok(codec.OpKind, "d")
				w.ok(codec.OpTables)
				if e := w.fails(codec.StatusNotDurable, codec.OpSave); !strings.Contains(e.Message, `"d"`) {
					t.Error(e)
				}
			} else {
				w.ok(codec.OpDictIncrement, "d", "a", 1)
			}
			w.ok(codec.OpListAppend, "other", "after")
			if info := srv.Info(); info.Panics != 1 || (info.PoisonedTables == 1) != c.partial {
				t.Errorf("%+v", info)
			}
			if err := srv.Stop(context.Background()); (err != nil) != c.partial {
				t.Error(err)
			}

			known.fixed.Store(c.fixed)
			log.Reset()
			srv = known.startOnDisk(t, disk, log)
			w = dial(t, srv)
			if has := w.ok(codec.OpDictContains, "d", "defect"); has[0] != c.made {
				t.Error("the change is there:", has)
			}
			skipped := c.partial && !c.fixed
			if info := srv.Info(); (info.Data.Skipped == 1) != skipped || skipped && info.Panics == 0 ||
				info.PoisonedTables != 0 {
				t.Errorf("%+v %+v", info, info.Data)
			}
			logged := strings.Contains(log.String(), "skipped") && strings.Contains(log.String(), "table=d") &&
				strings.Contains(log.String(), "lsn=")
			if logged != skipped {
				t.Error(log.String())
			}
			if got := w.ok(codec.OpListAll, "other"); len(got) != 1 {
				t.Error(got)
			}
			w.ok(codec.OpDictSetDefault, "d", "defect", "later") // a change only if the other was none
			want := keptText(srv)

			// killed; then a version that does not panic, with either file
			known.fixed.Store(true)
			for _, without := range []string{"", "data/data.cdb"} {
				srv.flushJournal()
				if err := srv.journal.Sync(srv.store.Clock()); err != nil {
					t.Fatal(err)
				}
				again := known.startOnDisk(t, copyOfDisk(disk, without), io.Discard)
				if got := keptText(again); got != want {
					t.Errorf("without %q: after the restart\n%s\ninstead of\n%s", without, got, want)
				}
				stopServer(t, again)
			}
			stopServer(t, srv)
		})
	}
}

// TestPanicAndDropAndRestart: after a poisoned table was dropped the next start succeeds, whether
// or not the request panics again.
func TestPanicAndDropAndRestart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op      codec.Opcode
		fixed   bool // it does not panic in the next start
		skipped int
	}{
		"a creation":        {opPanicsInCreate, false, 1},
		"a creation, fixed": {opPanicsInCreate, true, 0},
		"a drop":            {opPanicsInDrop, false, 1},
		"a drop, fixed":     {opPanicsInDrop, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			known := newFaulty()
			disk := newDisk()
			srv := known.startOnDisk(t, disk, io.Discard)
			w := dial(t, srv)
			if c.op == opPanicsInDrop {
				w.ok(codec.OpCreateDict, "d", false, "a", 1)
			}
			bad := dial(t, srv)
			bad.write(bad.request(c.op))
			if !bad.closed() {
				t.Fatal("the connection stays open")
			}
			w.fails(codec.StatusInternal, codec.OpRename, "d", "e")
			if c.op == opPanicsInCreate {
				w.fails(codec.StatusInternal, codec.OpListLen, "d")
			}
			w.ok(codec.OpDrop, "d")
			w.ok(codec.OpCreateList, "other", false, "after")
			srv.flushJournal()
			if err := srv.journal.Sync(srv.store.Clock()); err != nil {
				t.Fatal(err)
			}
			killed := copyOfDisk(disk, "")
			clock, want := srv.store.Clock(), keptText(srv)
			stopServer(t, srv)

			known.fixed.Store(c.fixed)
			var log bytes.Buffer
			again := known.startOnDisk(t, killed, &log)
			if got := keptText(again); got != want || again.store.Clock() < clock {
				t.Errorf("at %d, after the restart\n%s\nat %d instead of\n%s", again.store.Clock(), got, clock, want)
			}
			if info := again.Info(); info.Data.Skipped != c.skipped {
				t.Errorf("%+v\n%s", info.Data, log.String())
			}
			none := c.fixed == (c.op == opPanicsInDrop)
			if logged := strings.Contains(log.String(), "drops a table that does not exist"); logged != none {
				t.Error(log.String())
			}
			w = dial(t, again)
			w.fails(codec.StatusNoSuchTable, codec.OpDrop, "d")
			w.ok(codec.OpCreateDict, "d", false)
			stopServer(t, again)
		})
	}
}

// TestPanicBeforeName: a creation, or a renaming, that panics after its LSN and before its name
// reserves that name. Else the name could be taken again, and the next start would depend on
// whether the first request panics again.
func TestPanicBeforeName(t *testing.T) {
	t.Parallel()
	for _, op := range []codec.Opcode{opPanicsInNaming, opPanicsInRename} {
		for _, fixed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%#x, fixed %v", op, fixed), func(t *testing.T) {
				known := newFaulty()
				disk := newDisk()
				srv := known.startOnDisk(t, disk, io.Discard)
				w := dial(t, srv)
				w.ok(codec.OpCreateDict, "d", false, "a", 1)
				bad := dial(t, srv)
				bad.write(bad.request(op))
				if !bad.closed() {
					t.Fatal("the connection stays open")
				}
				var want []any
				// both become lists, as a client that needs them would do
				for i, name := range []string{"d", "new"} {
					if w.call(codec.OpCreateList, name, false, i).Status == codec.StatusTableExists {
						w.ok(codec.OpDrop, name)
						w.ok(codec.OpCreateList, name, false, i)
					}
					want = append(want, name, "list", int64(1))
				}
				if n := srv.Info().PoisonedTables; n != 0 {
					t.Errorf("%d tables are poisoned", n)
				}
				if err := srv.journal.Sync(srv.store.Clock()); err != nil {
					t.Fatal(err)
				}
				killed := copyOfDisk(disk, "")
				text := keptText(srv)
				stopServer(t, srv)
				known.fixed.Store(fixed)
				again := known.startOnDisk(t, killed, io.Discard)
				if got := keptText(again); got != text {
					t.Errorf("after the restart\n%s\ninstead of\n%s", got, text)
				}
				if got := dial(t, again).ok(codec.OpTables); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("the tables are %v", got)
				}
				stopServer(t, again)
			})
		}
	}
}

// copyOfDisk returns a disk with the files of another one, except for one.
func copyOfDisk(disk *fstest.Disk, without string) *fstest.Disk {
	files := fstest.NewDisk()
	_ = files.MkdirAll("data")
	_ = files.MkdirAll("data/data.cdb.journal")
	for _, name := range disk.Names() {
		if name != without {
			files.Put(name, disk.Bytes(name))
		}
	}
	return files
}

// TestManyPanics: the start after many partially applied changes loads a second time, not once for
// each.
func TestManyPanics(t *testing.T) {
	t.Parallel()
	known := newFaulty()
	disk := newDisk()
	srv := known.startOnDisk(t, disk, io.Discard)
	w := dial(t, srv)
	const n = 20
	for i := range n {
		w.ok(codec.OpCreateDict, "d", false, "number", i)
		bad := dial(t, srv)
		bad.write(bad.request(opPanicsInChange))
		if !bad.closed() {
			t.Fatal("the connection stays open")
		}
		if i%2 == 0 {
			w.ok(codec.OpDrop, "d")
		} else if i < n-1 {
			w.fails(codec.StatusInternal, codec.OpRename, "d", "e")
			w.ok(codec.OpDrop, "d")
		}
	}
	if srv.Stop(context.Background()) == nil {
		t.Error("saved")
	}
	var log bytes.Buffer
	loads := &fstest.Faults{FS: disk}
	starts := 0
	loads.Fail = func(_ int, op, name string) error {
		if op == "list" && strings.HasSuffix(name, ".journal") {
			starts++
		}
		return nil
	}
	srv = known.startOnDisk(t, loads, &log)
	if info := srv.Info(); info.Data.Skipped != n || starts != 2 {
		t.Errorf("%d requests skipped, loaded %d times\n%s", info.Data.Skipped, starts, log.String())
	}
	if got := dial(t, srv).ok(codec.OpDictItems, "d"); len(got) != 2 || got[1] != int64(n-1) {
		t.Error(got)
	}
	stopServer(t, srv)
}

// TestManySaves: all clients that ask for a save while another one runs are served by one further
// save.
func TestManySaves(t *testing.T) {
	t.Parallel()
	disk := newStuckDisk("write", ".part")
	defer disk.release()
	srv := keptServer(t, disk, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	change := w.request(codec.OpDictSet, "d", "b", 1)[8:] // its payload
	disk.renamed = func() {                               // other clients keep changing something
		log := srv.engine.TakeLog()
		defer srv.engine.PutLog(log)
		c := shardmap.Call{Log: log, Request: change}
		d, _ := srv.store.Lookup(&c, []byte("d"))
		if err := d.Dict().Set(&c, value.AppendStr(nil, "b"), []byte{1}); err != nil {
			t.Error(err)
		}
	}
	disk.stuck.Store(true)
	var saves []*wire
	for i := range 20 {
		w.ok(codec.OpDictSet, "d", "a", i)
		save := dial(t, srv)
		save.write(save.request(codec.OpSave))
		saves = append(saves, save)
		for srv.backgroundJobs.Load() < int64(len(saves)) || disk.waiting.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	disk.release()
	for _, save := range saves {
		if reply, err := save.reply(); err != nil || reply.Status != codec.StatusOK {
			t.Error(reply.Status, err)
		}
	}
	if n := disk.renames.Load(); n > 3 { // the first, one for the others, and one for clients that are slow to begin
		t.Errorf("%d files for %d requests", n, len(saves))
	}
}

// TestPanicUnderLock: a command that panics under a lock does not block later requests: the table
// is unchanged and answers.
func TestPanicUnderLock(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false, "a", 1)
	w.ok(codec.OpCreateList, "l", false, 1, 2)
	var c shardmap.Call
	d, _ := srv.store.Lookup(&c, []byte("d"))
	noEncoding := []byte{0xda}
	if err := d.Dict().Set(&c, value.AppendStr(nil, "bad"), noEncoding); err != nil {
		t.Fatal(err)
	}
	l, _ := srv.store.Lookup(&c, []byte("l"))
	if err := l.List().Append(&c, noEncoding); err != nil {
		t.Fatal(err)
	}
	requests := []struct {
		op   codec.Opcode
		args []any
	}{
		{codec.OpDictIncrement, []any{"d", "bad", "x"}},
		{codec.OpListCount, []any{"l", "x"}},
		{codec.OpListRemove, []any{"l", "x"}},
	}
	for _, r := range requests {
		for range 3 {
			bad := dial(t, srv)
			bad.write(bad.request(r.op, r.args...))
			if !bad.closed() {
				t.Errorf("%v: no panic", r.op)
			}
			w.ok(codec.OpDictIncrement, "d", "a", 1)
			w.ok(codec.OpListSet, "l", 0, 7)
		}
	}
	if info := srv.Info(); info.Panics != uint64(3*len(requests)) || info.PoisonedTables != 0 {
		t.Errorf("%+v", info)
	}
	w.ok(codec.OpListDelete, "l", 2)
	w.ok(codec.OpDictDelete, "d", "bad")
}

// TestPanicAndPipeline: pipelined requests for the keys of a poisoned table are answered, each by
// its error.
func TestPanicAndPipeline(t *testing.T) {
	t.Parallel()
	srv := startServer(t, nil)
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	const n = 200
	key := func(i int) string { return fmt.Sprint("key", i) }
	large := strings.Repeat("x", 5000) // in its own block
	for i := range n {
		w.ok(codec.OpDictSet, "d", key(i), large)
	}
	var c shardmap.Call
	d, _ := srv.store.Lookup(&c, []byte("d"))
	v, err := d.Dict().View(&c)
	if err != nil {
		t.Fatal(err)
	}
	for e := range v.Drain() {
		if strings.HasSuffix(string(e.Key), key(n-1)) {
			copy(e.Key, []byte{0xdb, 0x7f, 0xff, 0xff, 0xff}) // a str of 2 GiB
		}
	}
	v.Close()
	w.ok(codec.OpDictSet, "d", "other", 1)
	bad := dial(t, srv) // its deletions move the entries, and the damaged key panics half-way
	var requests []byte
	for i := range n / 2 {
		requests = append(requests, bad.request(codec.OpDictDelete, "d", key(i))...)
	}
	bad.write(requests)
	for err = nil; err == nil; {
		_, err = bad.reply()
	}
	if info := srv.Info(); info.Panics != 1 || info.PoisonedTables != 1 {
		t.Fatalf("%+v", info)
	}
	requests = requests[:0]
	for i := range n {
		requests = append(requests, w.request(codec.OpDictGet, "d", key(i))...)
	}
	w.write(requests)
	for range n {
		if reply, err := w.reply(); err != nil || reply.Status != codec.StatusInternal {
			t.Fatal(reply.Status, err)
		}
	}
	if e := w.fails(
		codec.StatusInternal,
		codec.OpInfo,
		"digest",
	); e.Table != "d" ||
		!strings.Contains(e.Message, `table "d"`) {
		t.Errorf("digest: %+v", e)
	}
	if info := srv.Info(); info.Panics != 1 || info.Views != 0 {
		t.Errorf("%+v", info)
	}
	w.ok(codec.OpDrop, "d")
	w.ok(codec.OpInfo, "digest")
}

// stuckDisk is a disk on which operations on some files block, from the moment that it is stuck
// until release is called.
type stuckDisk struct {
	*fstest.Faults
	stuck   atomic.Bool
	waiting atomic.Int64
	renames atomic.Int64
	renamed func() // is called for each, if it is not nil
	free    chan struct{}
	once    sync.Once
}

func newStuckDisk(op, suffix string) *stuckDisk {
	d := &stuckDisk{free: make(chan struct{})}
	d.Faults = &fstest.Faults{FS: newDisk(), Fail: func(_ int, did, name string) error {
		if did == "rename" {
			d.renames.Add(1)
			if d.renamed != nil {
				d.renamed()
			}
		}
		if did == op && strings.HasSuffix(name, suffix) && d.stuck.Load() {
			d.waiting.Add(1)
			<-d.free
		}
		return nil
	}}
	return d
}

func (d *stuckDisk) release() {
	d.stuck.Store(false)
	d.once.Do(func() { close(d.free) })
}

// TestStuckDiskAndLongRequests: requests that wait for the disk do not delay long ones that do not,
// however many they are.
func TestStuckDiskAndLongRequests(t *testing.T) {
	t.Parallel()
	many := make([]any, shardmap.InlineElements+10)
	for i := range many {
		many[i] = i
	}
	for name, c := range map[string]struct {
		op, file string
		waits    func(w *wire, i int) []byte
	}{
		"durable": {"sync", ".log", func(w *wire, _ int) []byte {
			return codec.AppendRequest(nil, &codec.Request{ID: w.id, Op: codec.OpListReverse, Flags: codec.FlagDurable, Args: encodeArgs(w, "l")})
		}},
		"save": {"write", ".part", func(w *wire, _ int) []byte { return w.request(codec.OpSave) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newStuckDisk(c.op, c.file)
			defer disk.release()
			srv := keptServer(t, disk, nil)
			w := dial(t, srv)
			w.ok(codec.OpCreateList, append([]any{"l", false}, many...)...)
			w.ok(codec.OpCreateDict, "d", false, "a", 1)
			w.ok(codec.OpSave)
			w.ok(codec.OpDictSet, "d", "a", 2)
			disk.stuck.Store(true)
			var waiting []*wire
			for i := range 3 * maxProcessors {
				wire := dial(t, srv)
				wire.write(c.waits(wire, i))
				waiting = append(waiting, wire)
			}
			for disk.waiting.Load() == 0 || srv.backgroundJobs.Load() < int64(len(waiting)) {
				time.Sleep(time.Millisecond)
			}
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				for range 2 * maxProcessors {
					w.ok(codec.OpDictGetMany, append([]any{"d"}, many...)...)
					w.ok(codec.OpListReverse, "l")
				}
			}()
			select {
			case <-answered:
			case <-time.After(20 * time.Second):
				t.Error("long requests wait for the disk")
			}
			disk.release()
			<-answered
			for _, wire := range waiting {
				if reply, err := wire.reply(); err != nil || reply.Status != codec.StatusOK {
					t.Error(reply.Status, err)
				}
			}
		})
	}
}

// TestDurableWithoutChange: a DURABLE request that changes nothing is answered once everything that
// its reply depends on is on disk. Other requests are answered meanwhile.
func TestDurableWithoutChange(t *testing.T) {
	t.Parallel()
	disk := newStuckDisk("sync", ".log")
	defer disk.release()
	srv := keptServer(t, disk, func(d *Data) { d.Fsync = persist.Never })
	w := dial(t, srv)
	w.ok(codec.OpCreateDict, "d", false)
	disk.stuck.Store(true)
	w.ok(codec.OpDictSet, "d", "a", 1)
	for _, r := range []struct {
		op   codec.Opcode
		args []any
	}{
		{codec.OpDictSetDefault, []any{"d", "a", 2}},
		{codec.OpDictCompareAndSet, []any{"d", "a", 7, 8}},
		{codec.OpDictUpdate, []any{"d"}},
	} {
		w.id++
		w.write(
			codec.AppendRequest(
				nil,
				&codec.Request{ID: w.id, Op: r.op, Flags: codec.FlagDurable, Args: encodeArgs(t, r.args...)},
			),
		)
	}
	durable := w.id
	w.id++
	w.write(codec.AppendRequest(nil, &codec.Request{ID: w.id, Op: codec.OpPing}))
	if reply, err := w.reply(); err != nil || reply.ID != w.id {
		t.Fatalf("the first reply is that of request %d, %v", reply.ID, err)
	}
	for disk.waiting.Load() == 0 {
		runtime.Gosched()
	}
	disk.release()
	for id := durable - 2; id <= durable; id++ {
		if reply, err := w.reply(); err != nil || reply.ID != id || reply.Status != codec.StatusOK {
			t.Fatal(reply.ID, reply.Status, err)
		}
	}
}
