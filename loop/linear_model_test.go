package loop

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/anishathalye/porcupine"

	"cyberdb-fast/codec"
)

// linearInput is a request on the one table of a history; keys, values and indexes are ints.
type linearInput struct {
	op   codec.Opcode
	args []int64
}

// linearOutput is its outcome: bools are 0 and 1, what is absent is absentInt.
type linearOutput struct {
	status codec.Status
	vals   []int64
	lost   bool // there was no reply: it is unknown whether the request was executed
}

const absentInt = int64(-1 << 62)

func (in linearInput) String() string {
	args := in.args
	if len(args) > 12 {
		return fmt.Sprintf("%v %v and %d more", in.op, args[:12], len(args)-12)
	}
	return fmt.Sprintf("%v %v", in.op, args)
}

func (out linearOutput) String() string {
	if out.lost {
		return "no reply"
	}
	if len(out.vals) > 12 {
		return fmt.Sprintf("%v %v and %d more", out.status, out.vals[:12], len(out.vals)-12)
	}
	return fmt.Sprintf("%v %v", out.status, out.vals)
}

// linearModel is the sequential meaning of the operations. A state is an []int64 that is never
// changed in place: the elements of a list, or keys and values in turn of a dict, in order.
func linearModel(initial []int64, step func(state []int64, in linearInput) ([]int64, linearOutput)) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, in, out any) (bool, any) {
			next, want := step(state.([]int64), in.(linearInput))
			got := out.(linearOutput)
			return got.status == want.status && slices.Equal(got.vals, want.vals), next
		},
		Equal:             func(a, b any) bool { return slices.Equal(a.([]int64), b.([]int64)) },
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v -> %v", in, out) },
	}
}

func flagInt(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// dictStep is the meaning of a dict's operations.
func dictStep(state []int64, in linearInput) ([]int64, linearOutput) {
	at := -1 // of the key's entry
	if len(in.args) > 0 {
		at = entryOf(state, in.args[0])
	}
	ok := func(next []int64, vals ...int64) ([]int64, linearOutput) { return next, linearOutput{vals: vals} }
	noKey := func() ([]int64, linearOutput) { return state, linearOutput{status: codec.StatusKeyError} }
	switch in.op {
	case codec.OpDictGet:
		if at < 0 {
			return noKey()
		}
		return ok(state, state[at+1])
	case codec.OpDictSet:
		return ok(withEntry(state, in.args[0], in.args[1]))
	case codec.OpDictPop:
		if at < 0 {
			return noKey()
		}
		return ok(without(state, at), state[at+1])
	case codec.OpDictSetDefault:
		if at < 0 {
			return ok(withEntry(state, in.args[0], in.args[1]), in.args[1])
		}
		return ok(state, state[at+1])
	case codec.OpDictIncrement:
		sum := in.args[1]
		if at >= 0 {
			sum += state[at+1]
		}
		return ok(withEntry(state, in.args[0], sum), sum)
	case codec.OpDictCompareAndSet:
		return compareAndSetStep(state, in.args, at)
	case codec.OpDictLen:
		return ok(state, int64(len(state)/2))
	case codec.OpDictContains:
		return ok(state, flagInt(at >= 0))
	case codec.OpDictPopItem:
		if len(state) == 0 {
			return noKey()
		}
		last := len(state) - 2
		return ok(without(state, last), state[last:]...)
	case codec.OpDictUpdate:
		next := state
		for i := 0; i < len(in.args); i += 2 {
			next = withEntry(next, in.args[i], in.args[i+1])
		}
		return ok(next)
	case codec.OpDictGetMany:
		var vals []int64
		for _, key := range in.args {
			if at := entryOf(state, key); at >= 0 {
				vals = append(vals, state[at+1])
			} else {
				vals = append(vals, absentInt)
			}
		}
		return ok(state, vals...)
	case codec.OpDictDeleteMany:
		next := state
		var were []int64
		for _, key := range in.args {
			at := entryOf(next, key)
			if were = append(were, flagInt(at >= 0)); at >= 0 {
				next = without(next, at)
			}
		}
		return ok(next, were...)
	case codec.OpDictItems:
		return ok(state, state...)
	case codec.OpDictKeys:
		var keys []int64
		for i := 0; i < len(state); i += 2 {
			keys = append(keys, state[i])
		}
		return ok(state, keys...)
	case codec.OpDictClear:
		return ok(nil)
	}
	panic("no meaning for " + in.op.String())
}

func compareAndSetStep(state, args []int64, at int) ([]int64, linearOutput) {
	current := absentInt
	if at >= 0 {
		current = state[at+1]
	}
	out := linearOutput{vals: []int64{flagInt(current == args[1])}}
	switch {
	case current != args[1]:
		return state, out
	case args[2] != absentInt:
		return withEntry(state, args[0], args[2]), out
	case at >= 0:
		return without(state, at), out
	}
	return state, out
}

func entryOf(state []int64, key int64) int {
	for i := 0; i < len(state); i += 2 {
		if state[i] == key {
			return i
		}
	}
	return -1
}

func withEntry(state []int64, key, val int64) []int64 {
	next := slices.Clone(state)
	if at := entryOf(state, key); at >= 0 {
		next[at+1] = val
		return next
	}
	return append(next, key, val)
}

// without returns the state without the entry at i.
func without(state []int64, i int) []int64 { return slices.Delete(slices.Clone(state), i, i+2) }

// listStep is the meaning of a list's operations.
func listStep(state []int64, in linearInput) ([]int64, linearOutput) {
	ok := func(next []int64, vals ...int64) ([]int64, linearOutput) { return next, linearOutput{vals: vals} }
	outside := func() ([]int64, linearOutput) { return state, linearOutput{status: codec.StatusIndexError} }
	n := int64(len(state))
	var i int64
	if len(in.args) > 0 {
		if i = in.args[0]; i < 0 {
			i += n
		}
	}
	switch in.op {
	case codec.OpListAppend, codec.OpListExtend:
		return ok(slices.Concat(state, in.args))
	case codec.OpListAppendLeft:
		return ok(slices.Concat(in.args, state))
	case codec.OpListPop:
		if n == 0 {
			return outside()
		}
		return ok(slices.Clone(state[:n-1]), state[n-1])
	case codec.OpListPopLeft:
		if n == 0 {
			return outside()
		}
		return ok(slices.Clone(state[1:]), state[0])
	case codec.OpListGet:
		if i < 0 || i >= n {
			return outside()
		}
		return ok(state, state[i])
	case codec.OpListSet:
		if i < 0 || i >= n {
			return outside()
		}
		next := slices.Clone(state)
		next[i] = in.args[1]
		return ok(next)
	case codec.OpListInsert:
		return ok(slices.Insert(slices.Clone(state), int(min(max(i, 0), n)), in.args[1]))
	case codec.OpListLen:
		return ok(state, n)
	case codec.OpListSort:
		next := slices.Clone(state)
		slices.SortFunc(next, cmp.Compare)
		return ok(next)
	case codec.OpListReverse:
		next := slices.Clone(state)
		slices.Reverse(next)
		return ok(next)
	case codec.OpListCount:
		count := int64(0)
		for _, v := range state {
			count += flagInt(v == in.args[0])
		}
		return ok(state, count)
	case codec.OpListAll:
		return ok(state, state...)
	}
	panic("no meaning for " + in.op.String())
}
