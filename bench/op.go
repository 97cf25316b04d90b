package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Op is what a run does, or one request of it.
type Op uint8

// Operations. The target_*.go files map them to requests; OpHelp describes them.
const (
	OpGet Op = iota
	OpSet
	OpMixed // OpGet and OpSet, drawn for each request
	OpHGet
	OpHSet
	OpHMixed // OpHGet and OpHSet
	OpIncr
	OpHIncr
	OpAppend
	OpIndex
	OpInsert // in the middle
	OpPop
	OpPopLeft
	OpQueue // OpAppend and OpPopLeft in turn
	OpFill  // OpHSet of keys that do not exist

	opCount // number of those that Run can do
)

// Operations of client libraries. Only RunCallers does them.
const (
	OpLock = opCount + iota // lock and unlock
	OpTake                  // take from a queue and acknowledge
	OpWake                  // append to a list for one that waits

	opNamed // number of those that have a name
)

// Requests that load and check.
const (
	opZero  = opNamed + iota // set a counter of OpIncr to 0
	opHZero                  // set a counter of OpHIncr to 0
	opRead                   // read a counter of OpIncr
	opHRead                  // read a counter of OpHIncr

	opTotal
)

// opKind describes an operation.
type opKind struct {
	name    string
	help    string
	list    bool // works on lists; the others on dicts
	load    Op   // fills the tables
	empty   bool // starts from empty tables
	changes bool // the tables differ after a run
}

var opKinds = [opTotal]opKind{
	OpGet: {name: "get", help: "value of a key: DICT GET; redis GET; memcached get; legacy getitem", load: OpSet},
	OpSet: {
		name: "set",
		help: "overwrite a key's value: DICT SET; redis SET; memcached set; legacy setitem",
		load: OpSet,
	},
	OpMixed:  {name: "mixed", help: "get and set by --ratio", load: OpSet},
	OpHGet:   {name: "hget", help: "value of a key of one of --tables hashes: DICT GET; redis HGET", load: OpHSet},
	OpHSet:   {name: "hset", help: "overwrite it: DICT SET; redis HSET", load: OpHSet},
	OpHMixed: {name: "hmixed", help: "hget and hset by --ratio", load: OpHSet},
	OpIncr: {
		name:    "incr",
		help:    "add 1 to a key's number: DICT INCREMENT; redis INCR; memcached incr",
		load:    opZero,
		changes: true,
	},
	OpHIncr: {
		name:    "hincr",
		help:    "the same in one of --tables hashes: DICT INCREMENT; redis HINCRBY",
		load:    opHZero,
		changes: true,
	},
	OpAppend: {
		name:    "append",
		help:    "append to an empty list: LIST APPEND; redis RPUSH; legacy append",
		list:    true,
		load:    OpAppend,
		empty:   true,
		changes: true,
	},
	OpIndex: {name: "index", help: "element at an index: LIST GET; redis LINDEX", list: true, load: OpAppend},
	OpInsert: {
		name:    "insert",
		help:    "insert in the middle: LIST INSERT; redis LINSERT before the middle's value",
		list:    true,
		load:    OpAppend,
		changes: true,
	},
	OpPop: {
		name:    "pop",
		help:    "take the last element, until --keys are gone: LIST POP; redis RPOP",
		list:    true,
		load:    OpAppend,
		changes: true,
	},
	OpPopLeft: {
		name:    "popleft",
		help:    "take the first: LIST POP LEFT; redis LPOP",
		list:    true,
		load:    OpAppend,
		changes: true,
	},
	OpQueue: {
		name:    "queue",
		help:    "append and popleft in turn, on a list of --keys",
		list:    true,
		load:    OpAppend,
		changes: true,
	},
	OpFill: {
		name:    "fill",
		help:    "hset of keys that are not there, until --keys are: how a dict grows",
		load:    OpHSet,
		empty:   true,
		changes: true,
	},
	OpLock: {
		name:  "lock",
		help:  "take and release a lock, with --callers: the Go client; rueidislock; SET NX and a script",
		list:  true,
		load:  OpAppend,
		empty: true,
	},
	OpTake: {
		name:    "take",
		help:    "take the first element and acknowledge it, with --callers: LIST TAKE and ACK; redis LMOVE and LREM",
		list:    true,
		load:    OpAppend,
		changes: true,
	},
	OpWake: {
		name:    "wake",
		help:    "append to a list until a waiting pop has it, with --callers: LIST POP LEFT; redis BLPOP",
		list:    true,
		load:    OpAppend,
		empty:   true,
		changes: true,
	},
	opZero:  {name: "set to 0"},
	opHZero: {name: "hset to 0"},
	opRead:  {name: "read of a counter"},
	opHRead: {name: "read of a counter"},
}

// ParseOp returns the operation of that name. Errors: *UsageError.
func ParseOp(name string) (Op, error) {
	var names []string
	for op := range opNamed {
		if names = append(names, op.String()); name == op.String() {
			return op, nil
		}
	}
	return 0, &UsageError{fmt.Sprintf("--op %q is unknown: give one of %s", name, strings.Join(names, ", "))}
}

// OpHelp returns one line for each operation: its name and what it is in each protocol.
func OpHelp() string {
	var text strings.Builder
	for op := range opNamed {
		fmt.Fprintf(&text, "    %-8s %s\n", op, opKinds[op].help)
	}
	return text.String()
}

// String returns the operation's name.
func (op Op) String() string { return opKinds[op].name }

// usesList says whether the operation works on lists; the others work on dicts.
func (op Op) usesList() bool { return opKinds[op].list }

// loadOp is the operation that fills the tables before a run of op; entries is how many times.
func (op Op) loadOp(keys int) (load Op, entries int) {
	if opKinds[op].empty {
		keys = 0
	}
	return opKinds[op].load, keys
}

// byLibrary reports whether only RunCallers does the operation.
func (op Op) byLibrary() bool { return op >= opCount && op < opNamed }

// requests returns the kinds of request that a run of op makes, of its own and not by a library.
func (op Op) requests() []Op {
	switch op {
	case OpLock, OpTake, OpWake:
		return nil
	case OpMixed:
		return []Op{OpGet, OpSet}
	case OpHMixed:
		return []Op{OpHGet, OpHSet}
	case OpQueue:
		return []Op{OpAppend, OpPopLeft}
	case OpFill:
		return []Op{OpHSet}
	case OpIncr:
		return []Op{OpIncr, opRead}
	case OpHIncr:
		return []Op{OpHIncr, opHRead}
	default:
		return []Op{op}
	}
}

// onceEach reports whether a run ends after one request for each item.
func (op Op) onceEach() bool { return op.anyOf(OpPop, OpPopLeft, OpFill) }

// counterRead is the request that reads a counter of op.
func (op Op) counterRead() (read Op, counts bool) {
	switch op {
	case OpIncr:
		return opRead, true
	case OpHIncr:
		return opHRead, true
	default:
		return 0, false
	}
}

// anyOf says whether op is one of several.
func (op Op) anyOf(several ...Op) bool { return slices.Contains(several, op) }
