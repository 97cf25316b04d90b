package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
	"cyberdb-fast/shardmap"
)

// TestEngineAlone: the engine depends on no package that opens connections.
func TestEngineAlone(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if pkg == "net" || strings.HasPrefix(pkg, "net/") || strings.Contains(pkg, "gnet") ||
			strings.HasPrefix(pkg, "cyberdb-fast/persist") {
			t.Errorf("the engine needs %s", pkg)
		}
	}
}

// request makes a request whose bytes stay.
func (d *door) request(req codec.Request, args ...any) *codec.Request {
	d.Helper()
	parsed, _, err := codec.ParseRequest(d.frame(&req, args...))
	if err != nil {
		d.Fatal(err)
	}
	return &parsed
}

// longList makes a list that is too long for an event loop.
func (d *door) longList(name string) {
	d.Helper()
	args := []any{name, false}
	for i := range 2 * shardmap.InlineElements {
		args = append(args, i)
	}
	d.ok(codec.OpCreateList, args...)
}

// memory is an Admission with room for all, whose Lend may wait.
type memory struct {
	engine.Admission
	lend func()
	held atomic.Int64
}

func (m *memory) Lend(bytes int) error {
	if bytes > 0 && m.lend != nil {
		m.lend()
	}
	return nil
}

func (m *memory) Return(int)        {}
func (m *memory) Change() error     { return nil }
func (m *memory) Grow(int) error    { return nil }
func (m *memory) Evict(int) int     { return 0 }
func (m *memory) CountOutput(n int) { m.held.Add(int64(n)) }

// TestBlocked: while a long write owns a table, requests for it are blocked, and those for other
// tables are executed. Wait reports when the blocked one may be executed again.
func TestBlocked(t *testing.T) {
	t.Parallel()
	sorts, goOn := make(chan struct{}), make(chan struct{})
	m := &memory{}
	d := newDoor(t, func(env *engine.Env) { env.Admission = m })
	d.longList("l")
	d.ok(codec.OpCreateList, "other", false)
	m.lend = func() { // in the middle of the sort
		select {
		case <-sorts:
		default:
			close(sorts)
			<-goOn
		}
	}
	done := make(chan codec.Status)
	sort := d.request(codec.Request{Op: codec.OpListSort}, "l", []any{"str", nil}, true)
	go func() {
		_, result := d.engine.Do(nil, sort)
		done <- result.Status
	}()
	<-sorts
	first := d.request(codec.Request{Op: codec.OpListPop}, "l")
	if out := d.exec.Execute([]byte("kept"), first, nil); d.exec.Outcome != engine.Blocked || string(out) != "kept" {
		t.Errorf("outcome %d, reply %q", d.exec.Outcome, out)
	}
	free := make(chan struct{})
	if _, waits := d.exec.WhenFree(func() { close(free) }); !waits {
		t.Error("the table is free")
	}
	d.ok(codec.OpListAppend, "other", 1)
	close(goOn)
	if status := <-done; status != codec.StatusOK {
		t.Error("the sort:", status)
	}
	<-free
	if reply := d.whole(d.execute(first, nil)); string(reply.Body) != "\x00" {
		t.Errorf("after the sort the last element is %x", reply.Body)
	}
}

// TestStreamIsOfItsMoment: a long read shows the moment when it was executed.
func TestStreamIsOfItsMoment(t *testing.T) {
	t.Parallel()
	d := newDoor(t, nil)
	d.longList("l")
	want := d.ok(codec.OpListAll, "l").Body
	all := d.request(codec.Request{ID: 1, Op: codec.OpListAll}, "l")
	if d.exec.Execute(nil, all, nil); d.exec.Outcome != engine.Streams {
		t.Fatal("outcome", d.exec.Outcome)
	}
	cut := d.exec.Result
	d.ok(codec.OpListClear, "l")
	if reply := d.whole(d.stream(all, cut)); !bytes.Equal(reply.Body, want) {
		t.Errorf("%d bytes, want %d", len(reply.Body), len(want))
	}
}

// TestStreamEnds: a long read ends when its reader does, with the reader's error.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	m := &memory{}
	d := newDoor(t, func(env *engine.Env) { env.Admission = m })
	d.longList("l")
	args := []any{"d", false}
	for i := range 2 * shardmap.InlineElements {
		args = append(args, i, i)
	}
	d.ok(codec.OpCreateDict, args...)
	for i := range 1100 {
		d.ok(codec.OpCreateList, fmt.Sprint("t", i), false)
	}
	gone := errors.New("gone")
	for _, req := range []*codec.Request{
		d.request(codec.Request{Op: codec.OpListAll}, "l"), d.request(codec.Request{Op: codec.OpDictItems}, "d"), d.request(codec.Request{Op: codec.OpTables}),
		d.request(codec.Request{Op: codec.OpListCount}, "l", 1), d.request(codec.Request{Op: codec.OpListIndex}, "l", 8000), d.request(codec.Request{Op: codec.OpListContains}, "l", -1),
	} {
		if d.exec.Execute(nil, req, nil); d.exec.Outcome != engine.Streams {
			t.Errorf("%v: outcome %d", req.Op, d.exec.Outcome)
			continue
		}
		read := d.exec.Stream
		if read.Begin != nil {
			read.Begin()
			if m.held.Load() == 0 {
				t.Errorf("%v: what it keeps is not counted", req.Op)
			}
		}
		if err := read.Write(failing{gone}); !errors.Is(err, gone) {
			t.Errorf("%v: %v", req.Op, err)
		}
		read.Close()
	}
	if n := m.held.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
	if n := d.engine.Store().Stats().Views; n != 0 {
		t.Errorf("%d views are open", n)
	}
}

// failing is a writer that is gone.
type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

var _ io.Writer = failing{}

// journal is a Journal whose replies wait for the disk, if waits is set.
type journal struct {
	engine.Journal
	waits     bool
	durable   uint64
	announced int
	most      int
}

func (j *journal) Announce(n int) {
	j.announced += n
	j.most = max(j.most, n)
}
func (j *journal) Flush()                   {}
func (j *journal) Durable() uint64          { return j.durable }
func (j *journal) Waits(demanded bool) bool { return j.waits || demanded }

// TestAwaitsDisk: replies to changes wait for the LSN of the change if the journal says so; other
// replies do not. A DURABLE request that wrote nothing waits for earlier changes.
func TestAwaitsDisk(t *testing.T) {
	t.Parallel()
	j := &journal{}
	var log conformance.Recording
	d := newDoor(t, func(env *engine.Env) { env.Journal, env.Changes = j, log.NewLog })
	d.ok(codec.OpCreateDict, "d", false, "a", 1)
	for _, c := range []struct {
		what    string
		waits   bool
		req     codec.Request
		args    []any
		outcome engine.Outcome
	}{
		{"a change", false, codec.Request{Op: codec.OpDictSet}, []any{"d", "a", 2}, engine.Answered},
		{"a change that waits", true, codec.Request{Op: codec.OpDictSet}, []any{"d", "a", 3}, engine.AwaitsDisk},
		{"a read", true, codec.Request{Op: codec.OpDictGet}, []any{"d", "a"}, engine.Answered},
		{"a change on demand", false, codec.Request{Op: codec.OpDictSet, Flags: codec.FlagDurable}, []any{"d", "a", 4}, engine.AwaitsDisk},
		{"no change, on demand", false, codec.Request{Op: codec.OpDictSetDefault, Flags: codec.FlagDurable}, []any{"d", "a", 4}, engine.AwaitsDisk},
		{"no change", true, codec.Request{Op: codec.OpDictSetDefault}, []any{"d", "a", 4}, engine.Answered},
		{"an error", true, codec.Request{Op: codec.OpDictDelete}, []any{"d", "x"}, engine.Answered},
	} {
		j.waits = c.waits
		req := d.request(c.req, c.args...)
		out := d.exec.Execute(nil, req, nil)
		if x := d.exec; x.Outcome != c.outcome || c.outcome == engine.AwaitsDisk && x.LSN != d.engine.Store().Clock() ||
			len(out) == 0 {
			t.Errorf("%s: outcome %d, LSN %d at %d", c.what, x.Outcome, x.LSN, d.engine.Store().Clock())
		}
		if out, result := d.engine.Do(nil, req); c.what != "a change" && result.Outcome != c.outcome || len(out) == 0 {
			t.Errorf("%s in the background: outcome %d", c.what, result.Outcome)
		}
	}
	j.durable = d.engine.Store().Clock()
	if d.exec.Execute(
		nil,
		d.request(codec.Request{Op: codec.OpDictSetDefault, Flags: codec.FlagDurable}, "d", "a", 4),
		nil,
	); d.exec.Outcome != engine.Answered {
		t.Error("waits for what is on disk")
	}
	large := strings.Repeat("x", 2*engine.AnnouncedBytes)
	if d.ok(codec.OpDictSet, "d", "large", large); j.most <= len(large) || j.announced != 0 {
		t.Errorf("%d bytes were announced at most, and %d are", j.most, j.announced)
	}
}

// TestTakenAgainAwaitsDisk: the reply to a TAKE that is repeated waits for the disk as that to the
// first one does: it tells of a lease that a crash may lose. It does not wait once that is on disk.
func TestTakenAgainAwaitsDisk(t *testing.T) {
	t.Parallel()
	j := &journal{waits: true}
	var log conformance.Recording
	d := newDoor(t, func(env *engine.Env) { env.Journal, env.Changes = j, log.NewLog })
	d.ok(codec.OpCreateList, "l", false, "item")
	take := d.request(codec.Request{Op: codec.OpListTake}, "l", make([]byte, 16), 60_000, 0)
	first := d.exec.Execute(nil, take, nil)
	leased := d.exec.LSN
	if d.exec.Outcome != engine.AwaitsDisk || leased != d.engine.Store().Clock() {
		t.Fatalf("the first: outcome %d, LSN %d", d.exec.Outcome, leased)
	}
	d.ok(codec.OpListAppend, "l", "another")
	for _, c := range []struct {
		what    string
		durable uint64
		outcome engine.Outcome
	}{
		{"its lease is not on disk", leased - 1, engine.AwaitsDisk},
		{"its lease is on disk", leased, engine.Answered},
	} {
		j.durable = c.durable
		again := d.exec.Execute(nil, take, nil)
		if x := d.exec; x.Outcome != c.outcome || c.outcome == engine.AwaitsDisk && x.LSN != leased ||
			!bytes.Equal(again, first) {
			t.Errorf("%s: outcome %d, LSN %d, reply %x; the first was %x", c.what, x.Outcome, x.LSN, again, first)
		}
		if again, result := d.engine.Do(nil, take); result.Outcome != c.outcome || !bytes.Equal(again, first) {
			t.Errorf("%s: outcome %d in the background, reply %x", c.what, result.Outcome, again)
		}
	}
}

// TestIncompleteEnv: an engine refuses what its Env lacks, with a clear error, and does the rest.
func TestIncompleteEnv(t *testing.T) {
	t.Parallel()
	commands := engine.Protocol()
	commands[codec.OpDrop] = engine.Command{}
	d := newDoor(t, func(env *engine.Env) { env.Commands = commands })
	d.fails(codec.StatusUnsupported, codec.OpInfo)
	d.fails(codec.StatusUnsupported, codec.OpSave)
	d.fails(codec.StatusUnknownOpcode, codec.OpDrop, "d")
	d.fails(codec.StatusUnknownOpcode, 0xff)
	if reply := d.requests(d.frame(&codec.Request{Op: codec.OpDictSet, Flags: codec.FlagDurable}, "d", "a", 1))[0]; reply.Status != codec.StatusUnsupported {
		t.Error(reply.Status)
	}
	d.ok(codec.OpPing)
	d.ok(codec.OpCreateDict, "d", false)
}

// TestSaveAndInfo: the program supplies both, and a failed save is an error reply.
func TestSaveAndInfo(t *testing.T) {
	t.Parallel()
	var failed error
	saves := 0
	d := newDoor(t, func(env *engine.Env) {
		env.Info = func() ([]byte, error) { return []byte("{}"), nil }
		env.Save = func() error { saves++; return failed }
	})
	if reply := d.ok(codec.OpInfo); string(reply.Body) != "\xa2{}" {
		t.Errorf("%q", reply.Body)
	}
	if d.ok(codec.OpSave); saves != 1 || d.outcomes[engine.Background] != 1 {
		t.Errorf("saved %d times, %d of them in the background", saves, d.outcomes[engine.Background])
	}
	failed = errors.New("the disk is gone")
	if e := d.fails(codec.StatusNotDurable, codec.OpSave); e.Message != failed.Error() {
		t.Error(e)
	}
	failed = &codec.Error{Status: codec.StatusReadOnly, Message: "not now"}
	d.fails(codec.StatusReadOnly, codec.OpSave)
}

// strict refuses everything.
type strict struct{ engine.Admission }

func refused(what string) error {
	return &codec.Error{Status: codec.StatusOverloaded, Message: what}
}

func (strict) Change() error     { return nil }
func (strict) Grow(int) error    { return refused("no memory") }
func (strict) Evict(int) int     { return 0 }
func (strict) LargeReply() error { return refused("too much is unread") }
func (strict) Lend(int) error    { return refused("nothing to lend") }

// TestAdmission: a refused request gets Admission's error and changes nothing. Requests that need
// no admission are executed.
func TestAdmission(t *testing.T) {
	t.Parallel()
	full := newDoor(t, nil)
	large := strings.Repeat("x", engine.LargeReplyBytes+1)
	full.ok(codec.OpCreateDict, "d", false, "a", 1)
	d := newDoor(t, func(env *engine.Env) { env.Admission, env.Store = strict{}, full.engine.Store() })
	if e := d.fails(codec.StatusOverloaded, codec.OpDictSet, "d", "a", 2); e.Message != "no memory" {
		t.Error(e)
	}
	if e := d.fails(codec.StatusOverloaded, codec.OpDictGet, "d", "x", large); e.Message != "too much is unread" {
		t.Error(e)
	}
	keys := []any{"d"}
	for range 5000 {
		keys = append(keys, []any{"a key", "that is opened"})
	}
	if e := d.fails(codec.StatusOverloaded, codec.OpDictGetMany, keys...); e.Message != "nothing to lend" {
		t.Error(e)
	}
	if reply := d.ok(codec.OpDictGet, "d", "a"); string(reply.Body) != "\x01" {
		t.Errorf("%x", reply.Body)
	}
	d.ok(codec.OpDictDelete, "d", "a")
}

// TestPanic: a panic in the background becomes an error reply, is logged and counted, and the
// engine continues. After a panic in Execute the executor can be used again.
func TestPanic(t *testing.T) {
	t.Parallel()
	commands := engine.Protocol()
	commands[0xfe] = engine.Command{Mutates: true, Run: func(*engine.Executor) error { panic("defect") }}
	var log bytes.Buffer
	d := newDoor(t, func(env *engine.Env) {
		env.Commands, env.Logger = commands, slog.New(slog.NewTextHandler(&log, nil))
	})
	d.ok(codec.OpCreateDict, "d", false)
	req := d.request(codec.Request{Op: 0xfe})
	out, result := d.engine.Do(nil, req)
	if reply := d.whole(
		out,
	); reply.Status != codec.StatusInternal || !result.Internal ||
		result.Outcome != engine.Answered {
		t.Errorf("%v, %+v", reply.Status, result)
	}
	func() {
		defer func() { _ = d.engine.ReportPanic("in a door", recover(), d.exec.Call()) }()
		d.exec.Execute(nil, req, nil)
	}()
	if n := d.engine.Panics(); n != 2 || !strings.Contains(log.String(), "in a door") {
		t.Errorf("%d panics:\n%s", n, log.String())
	}
	d.ok(codec.OpDictSet, "d", "a", 1)
}
