package loop

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/loop/engine/conformance"
)

var update = flag.Bool("update", false, "rewrite codec/testdata/frames.txt and the examples in codec/PROTOCOL.md")

const (
	vectorsFile  = "../codec/testdata/frames.txt"
	protocolFile = "../codec/PROTOCOL.md"
	exampleBegin = "<!-- examples: made from testdata/frames.txt -->"
)

// example is one request of the golden session.
type example struct {
	name  string
	op    codec.Opcode
	flags codec.RequestFlags
	ifVer uint64
	ms    uint32 // the deadline
	ttl   int64
	fence uint64 // IF FENCE of the lock "jobs"; presentFence: what it has
	args  []any
}

// presentFence stands for the fence of the last LOCK.
const presentFence = math.MaxUint64

// golden is a session on an empty server that uses the opcodes and the errors that clients get.
// Those of dicts and lists that it does not name are added by goldenSession.
var golden = []example{
	{name: "ping", op: codec.OpPing},
	{name: "create dict", op: codec.OpCreateDict, args: []any{"d", false, "k", 1}},
	{name: "create list", op: codec.OpCreateList, args: []any{"l", false, 3, 1, 2}},
	{name: "create what exists", op: codec.OpCreateDict, args: []any{"d", false}},
	{name: "create what exists, exist_ok", op: codec.OpCreateDict, args: []any{"d", true}},
	{name: "create over another kind", op: codec.OpCreateList, args: []any{"d", true}},
	{name: "exists", op: codec.OpExists, args: []any{"d"}},
	{name: "kind", op: codec.OpKind, args: []any{"l"}},
	{name: "tables", op: codec.OpTables},
	{name: "dict get", op: codec.OpDictGet, args: []any{"d", "k"}},
	{name: "dict get, with version", op: codec.OpDictGet, flags: codec.FlagWantVersion, args: []any{"d", "k"}},
	{name: "dict get, absent", op: codec.OpDictGet, args: []any{"d", "x"}},
	{name: "dict get, absent, default", op: codec.OpDictGet, args: []any{"d", "x", nil}},
	{name: "dict get, unhashable", op: codec.OpDictGet, args: []any{"d", []any{1}}},
	{name: "dict get, no table", op: codec.OpDictGet, args: []any{"nowhere", "k"}},
	{name: "dict get, of a list", op: codec.OpDictGet, args: []any{"l", "k"}},
	{name: "dict get, no key", op: codec.OpDictGet, args: []any{"d"}},
	{name: "dict set", op: codec.OpDictSet, args: []any{"d", govalue.Tuple{int64(1), "a"}, 2.5}},
	{
		name:  "dict set, if version",
		op:    codec.OpDictSet,
		flags: codec.FlagIfVersion | codec.FlagWantVersion,
		ifVer: 0,
		args:  []any{"d", "new", true},
	},
	{
		name:  "dict set, other version",
		op:    codec.OpDictSet,
		flags: codec.FlagIfVersion,
		ifVer: 7,
		args:  []any{"d", "new", true},
	},
	{
		name:  "dict set, if present, absent",
		op:    codec.OpDictSet,
		flags: codec.FlagIfVersion,
		ifVer: codec.AnyVersion,
		args:  []any{"d", "nowhere", true},
	},
	{
		name:  "dict set, if present",
		op:    codec.OpDictSet,
		flags: codec.FlagIfVersion | codec.FlagWantVersion,
		ifVer: codec.AnyVersion,
		args:  []any{"d", "new", false},
	},
	{name: "dict set, gone", op: codec.OpDictSet, args: []any{"d", "gone", 1}},
	{name: "dict delete", op: codec.OpDictDelete, args: []any{"d", "new"}},
	{name: "dict delete many", op: codec.OpDictDeleteMany, args: []any{"d", "gone", "x", "gone"}},
	{name: "dict contains", op: codec.OpDictContains, args: []any{"d", "k"}},
	{name: "dict len", op: codec.OpDictLen, args: []any{"d"}},
	{name: "dict setdefault", op: codec.OpDictSetDefault, args: []any{"d", "s", []any{}}},
	{name: "dict update", op: codec.OpDictUpdate, args: []any{"d", "a", 1, "b", nil}},
	{
		name:  "dict set, within a minute, if version",
		op:    codec.OpDictSet,
		flags: codec.FlagIfVersion | codec.FlagWantVersion | codec.FlagDeadline,
		ifVer: 0,
		ms:    60_000,
		args:  []any{"d", "due", 1},
	},
	{
		name:  "dict pop, deadline passed",
		op:    codec.OpDictPop,
		flags: codec.FlagDeadline,
		args:  []any{"d", "due"},
	},
	{
		name:  "dict pop, within a minute",
		op:    codec.OpDictPop,
		flags: codec.FlagDeadline,
		ms:    60_000,
		args:  []any{"d", "due"},
	},
	{name: "dict pop", op: codec.OpDictPop, args: []any{"d", "a"}},
	{name: "dict popitem", op: codec.OpDictPopItem, args: []any{"d"}},
	{name: "dict increment", op: codec.OpDictIncrement, args: []any{"d", "k", 41}},
	{name: "dict compare and set", op: codec.OpDictCompareAndSet, args: []any{"d", "k", 42, "done"}},
	{
		name: "dict compare and set, if absent",
		op:   codec.OpDictCompareAndSet,
		args: []any{"d", "c", rawValue{codec.Absent}, 1},
	},
	{name: "dict keys", op: codec.OpDictKeys, args: []any{"d"}},
	{name: "dict values", op: codec.OpDictValues, args: []any{"d"}},
	{name: "dict items", op: codec.OpDictItems, args: []any{"d"}},
	{name: "dict get many", op: codec.OpDictGetMany, args: []any{"d", "k", "x", "c"}},
	{
		name: "dict get or compute, fresh", op: codec.OpDictGetOrCompute,
		args: []any{"d", "k", ownerOf("one"), 60_000, 0, nil},
	},
	{name: "dict scan", op: codec.OpDictScan, args: []any{"d", 0, 2}},
	{
		name:  "dict set, for a minute",
		op:    codec.OpDictSet,
		flags: codec.FlagTimeToLive,
		ttl:   60_000,
		args:  []any{"d", "brief", 1},
	},
	{
		name:  "dict set, time to live out of range",
		op:    codec.OpDictSet,
		flags: codec.FlagTimeToLive,
		ttl:   -2,
		args:  []any{"d", "brief", 1},
	},
	{
		name:  "dict expire: persist, with version",
		op:    codec.OpDictExpire,
		flags: codec.FlagTimeToLive | codec.FlagWantVersion,
		args:  []any{"d", "brief"},
	},
	{name: "dict ttl, none", op: codec.OpDictTTL, args: []any{"d", "brief"}},
	{name: "dict ttl, absent", op: codec.OpDictTTL, args: []any{"d", "x"}},
	{name: "dict touch", op: codec.OpDictTouch, args: []any{"d", "brief"}},
	{name: "dict forget", op: codec.OpDictForget, args: []any{"d", 0, 1, 1, "k"}},
	{name: "dict horizon", op: codec.OpDictHorizon, args: []any{"d", 1}},
	{
		name: "create dict, options",
		op:   codec.OpCreateDict,
		args: []any{"e", map[any]any{"ttl": 60_000}, "k", 1},
	},
	{name: "configure", op: codec.OpConfigure, args: []any{"e", map[any]any{"max_entries": 1000}}},
	{name: "configure, no such option", op: codec.OpConfigure, args: []any{"e", map[any]any{"size": 1}}},
	{name: "options", op: codec.OpOptions, args: []any{"e"}},
	{name: "drop a dict", op: codec.OpDrop, args: []any{"e"}},
	{name: "info, digest", op: codec.OpInfo, args: []any{"digest"}},
	{name: "info, no such parameter", op: codec.OpInfo, args: []any{"digest", map[any]any{"limit": 1}}},
	{name: "dict clear", op: codec.OpDictClear, args: []any{"d"}},
	{name: "list append", op: codec.OpListAppend, args: []any{"l", "x"}},
	{name: "list extend", op: codec.OpListExtend, args: []any{"l", 5, 4}},
	{name: "list insert", op: codec.OpListInsert, args: []any{"l", 0, 9}},
	{name: "list get", op: codec.OpListGet, args: []any{"l", -1}},
	{name: "list get, out of range", op: codec.OpListGet, args: []any{"l", 99}},
	{name: "list set", op: codec.OpListSet, args: []any{"l", 4, 7}},
	{name: "list delete", op: codec.OpListDelete, args: []any{"l", 0}},
	{name: "list slice", op: codec.OpListSlice, args: []any{"l", nil, nil, -2}},
	{name: "list set slice", op: codec.OpListSetSlice, args: []any{"l", 1, 2, nil, 6, 6}},
	{name: "list delete slice", op: codec.OpListDeleteSlice, args: []any{"l", 0, 1, nil}},
	{name: "list pop", op: codec.OpListPop, args: []any{"l"}},
	{name: "list remove", op: codec.OpListRemove, args: []any{"l", 6}},
	{name: "list remove, absent", op: codec.OpListRemove, args: []any{"l", 99}},
	{name: "list count", op: codec.OpListCount, args: []any{"l", 6}},
	{name: "list index", op: codec.OpListIndex, args: []any{"l", 7, 1}},
	{name: "list reverse", op: codec.OpListReverse, args: []any{"l"}},
	{name: "list sort", op: codec.OpListSort, args: []any{"l", []any{"neg", nil}, false}},
	{name: "list len", op: codec.OpListLen, args: []any{"l"}},
	{name: "list contains", op: codec.OpListContains, args: []any{"l", 7.0}},
	{name: "list all", op: codec.OpListAll, args: []any{"l"}},
	{name: "list append left", op: codec.OpListAppendLeft, args: []any{"l", 0}},
	{name: "list pop left", op: codec.OpListPopLeft, args: []any{"l"}},
	{name: "list clear", op: codec.OpListClear, args: []any{"l"}},
	{name: "list pop, empty", op: codec.OpListPop, args: []any{"l"}},
	{name: "list put", op: codec.OpListPut, args: []any{"l", "job", 0}},
	{name: "list put, in a minute", op: codec.OpListPut, args: []any{"l", "later", 60_000}},
	{name: "list take", op: codec.OpListTake, args: []any{"l", claimOf("one"), 60_000, nil}},
	{name: "list take, nothing within its time", op: codec.OpListTake, args: []any{"l", claimOf("two"), 60_000, 0}},
	{name: "list held", op: codec.OpListHeld, args: []any{"l"}},
	{name: "list extend lease", op: codec.OpListExtendLease, args: []any{"l", taken{}, 60_000}},
	{name: "list nack", op: codec.OpListNack, args: []any{"l", taken{}, 0}},
	{name: "list take, again", op: codec.OpListTake, args: []any{"l", claimOf("two"), 60_000, 0}},
	{name: "list ack", op: codec.OpListAck, args: []any{"l", taken{}}},
	{name: "list ack, no lease", op: codec.OpListAck, args: []any{"l", taken{}}},
	{name: "list return", op: codec.OpListReturn, args: []any{"l", nil, 1, 1}},
	{
		name: "configure, list", op: codec.OpConfigure,
		args: []any{"l", map[any]any{"max_deliveries": 3, "dead_letter": "dead"}},
	},
	{name: "options, list", op: codec.OpOptions, args: []any{"l"}},
	{name: "rename", op: codec.OpRename, args: []any{"l", "m"}},
	{name: "drop", op: codec.OpDrop, args: []any{"m"}},
	{name: "save, nothing kept", op: codec.OpSave},
	{name: "cancel, nothing waits", op: codec.OpCancel, args: []any{1}},
	{name: "lock", op: codec.OpLock, args: []any{"jobs", ownerOf("one"), 60_000, nil, 1}},
	{name: "lock, held", op: codec.OpLock, args: []any{"jobs", ownerOf("two"), 60_000, 0, 1}},
	{name: "renew lock", op: codec.OpRenewLock, args: []any{"jobs", ownerOf("one"), 60_000}},
	{name: "renew lock, lost", op: codec.OpRenewLock, args: []any{"jobs", ownerOf("two"), 60_000}},
	{
		name: "dict set, if fence", op: codec.OpDictSet, flags: codec.FlagExtensions,
		fence: presentFence, args: []any{"d", "k", 1},
	},
	{
		name: "dict set, other fence", op: codec.OpDictSet, flags: codec.FlagExtensions,
		fence: 7, args: []any{"d", "k", 2},
	},
	{
		name: "dict get or compute", op: codec.OpDictGetOrCompute,
		args: []any{"d", "made", ownerOf("one"), 60_000, 0, nil},
	},
	{
		name: "dict get or compute, another does", op: codec.OpDictGetOrCompute,
		args: []any{"d", "made", ownerOf("two"), 60_000, 0, 0},
	},
	{name: "renew compute", op: codec.OpRenewCompute, args: []any{"d", "made", ownerOf("one"), 60_000}},
	{name: "computed", op: codec.OpComputed, args: []any{"d", "made", ownerOf("one")}},
	{name: "unlock", op: codec.OpUnlock, args: []any{"jobs", ownerOf("one")}},
	{name: "lock holders, none", op: codec.OpLockHolders, args: []any{"jobs"}},
	{name: "create locks", op: codec.OpCreateLocks, args: []any{engine.LocksTable}},
	{name: "lock grant", op: codec.OpLockGrant, args: []any{engine.LocksTable, []byte("k"), ownerOf("one"), 60_000}},
	{name: "lock release", op: codec.OpLockRelease, args: []any{engine.LocksTable, []byte("k")}},
	{name: "subscribe", op: codec.OpSubscribe, args: []any{[]any{"news", "jobs"}, []any{"log."}}},
	{name: "publish", op: codec.OpPublish, args: []any{"log.web", 7}},
	{name: "receive", op: codec.OpReceive, args: []any{1, 10, nil}},
	{name: "receive, nothing within its time", op: codec.OpReceive, args: []any{1, 10, 0}},
	{name: "receive, no subscription", op: codec.OpReceive, args: []any{2, 10, 0}},
	{name: "unsubscribe", op: codec.OpUnsubscribe, args: []any{1}},
	{name: "unknown opcode", op: 0xfe},
	{name: "unknown flag", op: codec.OpPing, flags: 0x80},
	{name: "value cut short", op: codec.OpDictSet, args: []any{"d", "k", rawValue{0xd9, 0x05, 'a'}}},
}

// taken stands for the receipt of the last LIST TAKE.
type taken struct{}

// withReceipt returns arguments in which the receipt stands for taken.
func withReceipt(args []any, receipt int64) []any {
	args = slices.Clone(args)
	for i := range args {
		if args[i] == (taken{}) {
			args[i] = receipt
		}
	}
	return args
}

// goldenSession returns golden with an example of each command for a dict or a list that has none,
// where the table is about to be cleared: named as the command, with the arguments that
// conformance.Example makes.
func goldenSession() (session []example) {
	named := make(map[codec.Opcode]bool)
	for _, e := range golden {
		named[e.op] = true
	}
	kinds := map[codec.Opcode]engine.TableKind{codec.OpDictClear: engine.DictTable, codec.OpListClear: engine.ListTable}
	for _, e := range golden {
		for op, command := range engine.Protocol() {
			if op := codec.Opcode(op); kinds[e.op] != engine.AnyTable && command.Kind == kinds[e.op] && !named[op] {
				args := append(e.args[:1:1], conformance.Example(op)...)
				session = append(session, example{name: strings.ToLower(op.String()), op: op, args: args})
			}
		}
		session = append(session, e)
	}
	return session
}

// TestGoldenFrames plays the golden session and compares every byte of every reply with
// testdata/frames.txt, which clients in other languages run too, and with the examples in
// PROTOCOL.md.
func TestGoldenFrames(t *testing.T) {
	got, seen := playGolden(t, *encrypted)
	for op, shape := range codec.Shapes {
		if shape.Name != "" && !seen[codec.Opcode(op)] {
			t.Errorf("%s has no golden frame: add one to loop/protocol_test.go", shape.Name)
		}
	}
	if *update {
		writeFile(t, vectorsFile, []byte(got))
		writeFile(t, protocolFile, withExamples(t, got))
		return
	}
	want := readFile(t, vectorsFile)
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		if i >= len(wantLines) || i >= len(gotLines) || wantLines[i] != gotLines[i] {
			t.Fatalf(
				"line %d differs from %s (run make generate if that is right):\n got %s",
				i+1,
				vectorsFile,
				gotLines[min(i, len(gotLines)-1)],
			)
		}
	}
	if !bytes.Equal(withExamples(t, string(want)), readFile(t, protocolFile)) {
		t.Errorf("the examples in %s are not those of %s: run make generate", protocolFile, vectorsFile)
	}
}

// playGolden plays the golden session on its own server and returns its requests and replies,
// and the opcodes seen.
func playGolden(t *testing.T, encrypt bool) (text string, seen map[codec.Opcode]bool) {
	t.Helper()
	// its versions begin at 1
	w := dial(
		t,
		startServer(t, func(cfg *Config) { cfg.Encrypt, cfg.NewLog = encrypt, new(conformance.Recording).NewLog }),
	)
	var got strings.Builder
	fmt.Fprintln(&got, "# name<TAB>request<TAB>reply, hex: one session on an empty server, in order")
	seen = map[codec.Opcode]bool{}
	present := uint64(0)
	receipt := int64(0)
	for i, e := range goldenSession() {
		if e.fence == presentFence {
			e.fence = present
		}
		request := codec.AppendRequest(
			nil,
			&codec.Request{
				ID:         uint32(i + 1),
				Op:         e.op,
				Flags:      e.flags,
				IfVersion:  e.ifVer,
				Deadline:   e.ms,
				TTL:        e.ttl,
				Extensions: codec.AppendFence(nil, &codec.Fence{Number: e.fence, Lock: []byte("jobs")}),
				Args:       encodeArgs(t, withReceipt(e.args, receipt)...),
			},
		)
		w.write(request)
		reply, err := w.reply()
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		if e.name == "lock" {
			present = uint64(decodeAll(t, reply.Body)[0].(int64))
		}
		if all := decodeAll(t, reply.Body); e.op == codec.OpListTake && len(all) == 3 {
			receipt = all[0].(int64)
		}
		seen[e.op] = true
		fmt.Fprintf(&got, "%s\t%x\t%x\n", e.name, request, codec.AppendReply(nil, &reply))
	}
	return got.String(), seen
}

// TestGoldenFramesEncrypted: encryption changes nothing of what the records carry.
func TestGoldenFramesEncrypted(t *testing.T) {
	if got, _ := playGolden(t, true); got != string(readFile(t, vectorsFile)) {
		t.Errorf("the session differs from %s", vectorsFile)
	}
}

// withExamples returns PROTOCOL.md with the examples made from the vectors.
func withExamples(t *testing.T, vectors string) []byte {
	t.Helper()
	text, _, found := strings.Cut(string(readFile(t, protocolFile)), exampleBegin)
	if !found {
		t.Fatalf("%s has no line %s", protocolFile, exampleBegin)
	}
	var b strings.Builder
	b.WriteString(text + exampleBegin + "\n\n```\n")
	for line := range strings.Lines(vectors) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSpace(line), "\t")
		fmt.Fprintf(&b, "%s\n  > %s\n  < %s\n", fields[0], ruled(t, fields[1]), ruled(t, fields[2]))
	}
	b.WriteString("```\n")
	return []byte(b.String())
}

// ruled parts a frame's hex into length, id, code, flags and the rest.
func ruled(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(fmt.Sprintf("%x %x %x %x %x", b[:4], b[4:8], b[8:9], b[9:10], b[10:]), " ")
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// claimOf returns a claim that begins with a name.
func claimOf(name string) []byte {
	var claim [16]byte
	copy(claim[:], name)
	return claim[:]
}
