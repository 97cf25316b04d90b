package loop

import (
	"math/rand/v2"
	"slices"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine/conformance"
)

// FuzzFrames sends any bytes on an authenticated connection: the connection ends, nothing panics,
// and others are served.
func FuzzFrames(f *testing.F) {
	session := &wire{TB: f}
	var all []byte
	for _, e := range goldenSession() {
		frame := codec.AppendRequest(
			nil,
			&codec.Request{
				ID:        1,
				Op:        e.op,
				Flags:     e.flags,
				IfVersion: e.ifVer,
				Deadline:  e.ms,
				TTL:       e.ttl,
				Args:      encodeArgs(f, e.args...),
			},
		)
		f.Add(frame)
		all = append(all, frame...)
	}
	f.Add(all)
	f.Add(rawFrame(codec.MaxFrameBytes + 1))
	f.Add(session.request(codec.OpListExtend, "l", nested(200)))
	srv := startServer(f, nil)
	other := dial(f, srv)
	f.Fuzz(func(t *testing.T, frames []byte) {
		other.TB = t
		other.ok(codec.OpCreateDict, "d", false, "k", 1, 2.0, "v")
		other.ok(codec.OpCreateList, "l", false, 3, 1, 2)
		w := dial(t, srv)
		w.write(frames)
		_ = w.conn.(interface{ CloseWrite() error }).CloseWrite()
		if !w.closed() {
			t.Error("the connection stays open")
		}
		_ = w.conn.Close()
		left := other.ok(codec.OpTables)
		for i := 0; i < len(left); i += 3 {
			other.ok(codec.OpDrop, left[i])
		}
		if n := srv.Info().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
	})
}

// FuzzOps makes operations of bytes and plays them on a dict and a list of the server and on the
// models of linear_model_test.go.
func FuzzOps(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		b := make([]byte, 200)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	srv := startServer(f, nil)
	w := dial(f, srv)
	f.Fuzz(func(t *testing.T, b []byte) {
		w.TB = t
		w.ok(codec.OpCreateDict, "d", false)
		w.ok(codec.OpCreateList, "l", false)
		defer w.ok(codec.OpDrop, "d")
		defer w.ok(codec.OpDrop, "l")
		var inputs []linearInput
		var ops []conformance.Operation
		for len(b) >= 4 {
			in := inputOf(b)
			inputs, ops = append(inputs, in), append(ops, in.operation(w))
			b = b[4:]
		}
		if len(ops) == 0 {
			return
		}
		var dict, list []int64
		for i, reply := range pipelined(w, ops) {
			got, err := linearReply(w, reply)
			if err != nil {
				t.Fatal(err)
			}
			var want linearOutput
			if slices.Contains(dictHistoryOps, inputs[i].op) {
				dict, want = dictStep(dict, inputs[i])
			} else {
				list, want = listStep(list, inputs[i])
			}
			if got.status != want.status || !slices.Equal(got.vals, want.vals) {
				t.Fatalf("operation %d of %d: %v -> %v, want %v", i, len(ops), inputs[i], got, want)
			}
		}
	})
}

// inputOf makes an operation of four bytes: which one, key or index, two values. The top bits of a
// value make it absent.
func inputOf(b []byte) linearInput {
	both := slices.Concat(dictHistoryOps, listHistoryOps)
	op := both[int(b[0])%len(both)]
	key, first, second := int64(int8(b[1]))%8, int64(b[2]), int64(b[3])
	switch op {
	case codec.OpDictCompareAndSet:
		return linearInput{op, []int64{key, orAbsentInt(first), orAbsentInt(second)}}
	case codec.OpDictSet, codec.OpDictSetDefault, codec.OpDictIncrement, codec.OpListInsert, codec.OpListSet:
		return linearInput{op, []int64{key, first % 16}}
	case codec.OpDictUpdate:
		return linearInput{op, []int64{key, first % 16, second % 8, first % 16}}
	case codec.OpDictGetMany, codec.OpDictDeleteMany, codec.OpListExtend:
		return linearInput{op, []int64{key, first % 16, second % 16}}
	case codec.OpDictGet,
		codec.OpDictPop,
		codec.OpDictContains,
		codec.OpListAppend,
		codec.OpListAppendLeft,
		codec.OpListCount,
		codec.OpListGet:
		return linearInput{op, []int64{key}}
	}
	return linearInput{op, nil}
}

func orAbsentInt(n int64) int64 {
	if n >= 192 {
		return absentInt
	}
	return n % 16
}

// operation returns the request that the input stands for, on the dict "d" or the list "l".
func (in linearInput) operation(t testing.TB) conformance.Operation {
	name := "l"
	if slices.Contains(dictHistoryOps, in.op) {
		name = "d"
	}
	o := conformance.Operation{Op: in.op, Args: [][]byte{encodeArgs(t, name)}}
	if in.op == codec.OpListSort {
		o.Args = append(o.Args, encodeArgs(t, nil), encodeArgs(t, false))
	}
	for _, arg := range in.args {
		if arg == absentInt {
			o.Args = append(o.Args, []byte{codec.Absent})
		} else {
			o.Args = append(o.Args, encodeArgs(t, arg))
		}
	}
	return o
}
