package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

// maxScan is the most entries that one DICT SCAN returns.
const maxScan = 4096

// uint64Lead is the first byte of MessagePack's uint 64.
const uint64Lead = 0xcf

func dictGet(x *Executor) (err error) {
	x.body, err = x.Table.Dict().Get(&x.call, x.body, x.args[0])
	return x.orDefault(err)
}

// orDefault returns the default, the second argument, for an absent key.
func (x *Executor) orDefault(err error) error {
	if err == nil {
		x.Hits = 1
		return nil
	}
	if !errors.Is(err, shardmap.ErrNoKey) {
		return err
	}
	x.Misses = 1
	if x.n == 2 {
		x.body = append(x.body, x.args[1]...)
		return x.limitReply(len(x.args[1]))
	}
	return err
}

// found counts a key that was looked up.
func (x *Executor) found(found bool) {
	if found {
		x.Hits++
	} else {
		x.Misses++
	}
}

func dictSet(x *Executor) error { return x.Table.Dict().Set(&x.call, x.args[0], x.args[1]) }

func dictDelete(x *Executor) error { return x.Table.Dict().Delete(&x.call, x.args[0]) }

func dictDeleteMany(x *Executor) (err error) {
	x.body, err = x.Table.Dict().DeleteMany(&x.call, x.body, x.rest, x.restN)
	return err
}

func dictContains(x *Executor) error {
	has, err := x.Table.Dict().Contains(&x.call, x.args[0])
	if err == nil {
		x.found(has)
	}
	x.body = msgp.AppendBool(x.body, has)
	return err
}

func dictSetDefault(x *Executor) error {
	at := len(x.body)
	body, set, err := x.Table.Dict().SetDefault(&x.call, x.body, x.args[0], x.args[1])
	x.body = body
	if err != nil {
		return err
	}
	if x.found(!set); set {
		return nil
	}
	return x.limitReply(len(body) - at)
}

// limitReply returns an error if the reply must not carry a value of n bytes that stays in the
// table.
func (x *Executor) limitReply(n int) error {
	if n > LargeReplyBytes {
		return x.engine.env.Admission.LargeReply()
	}
	return nil
}

func dictUpdate(x *Executor) error { return x.Table.Dict().Update(&x.call, x.rest, x.restN/2) }

func dictPop(x *Executor) (err error) {
	x.body, err = x.Table.Dict().Pop(&x.call, x.body, x.args[0])
	return x.orDefault(err)
}

func dictPopItem(x *Executor) (err error) {
	x.body, err = x.Table.Dict().PopItem(&x.call, x.body)
	return err
}

func dictClear(x *Executor) error { return x.Table.Dict().Clear(&x.call) }

func dictKeys(x *Executor) error   { return dictAll(x, shardmap.Keys) }
func dictValues(x *Executor) error { return dictAll(x, shardmap.Values) }
func dictItems(x *Executor) error  { return dictAll(x, shardmap.Items) }

func dictAll(x *Executor, what shardmap.What) (err error) {
	x.body, _, err = x.Table.Dict().AppendAll(&x.call, x.body, what)
	return err
}

func viewKeys(x *Executor) (Stream, error)   { return dictStream(x, shardmap.Keys) }
func viewValues(x *Executor) (Stream, error) { return dictStream(x, shardmap.Values) }
func viewItems(x *Executor) (Stream, error)  { return dictStream(x, shardmap.Items) }

// dictStream cuts a view of the dict and makes the reply of a whole-table read from it.
func dictStream(x *Executor, what shardmap.What) (Stream, error) {
	view, err := x.Table.Dict().View(&x.call)
	if err != nil {
		return Stream{}, err
	}
	return Stream{
		Close: view.Close,
		Write: func(w io.Writer) (err error) {
			for e := range view.Drain() {
				if what != shardmap.Values {
					_, err = w.Write(e.Key)
				}
				if err == nil && what != shardmap.Keys {
					_, err = w.Write(e.Val)
				}
				if err != nil {
					return err
				}
			}
			return view.Err()
		},
	}, nil
}

func dictGetMany(x *Executor) (err error) {
	x.body, err = x.Table.Dict().GetMany(&x.call, x.body, x.rest, x.restN)
	if err == nil {
		x.Hits = uint32(x.call.Found)
		x.Misses = uint32(x.restN) - x.Hits
	}
	return err
}

func dictIncrement(x *Executor) (err error) {
	x.body, err = x.Table.Dict().Increment(&x.call, x.body, x.args[0], x.args[1])
	return err
}

func dictCompareAndSet(x *Executor) error {
	done, err := x.Table.Dict().CompareAndSet(&x.call, x.args[0], orAbsent(x.args[1]), orAbsent(x.args[2]))
	x.body = msgp.AppendBool(x.body, done)
	return err
}

// orAbsent turns the wire's absent marker into nil.
func orAbsent(b []byte) []byte {
	if b[0] == codec.Absent {
		return nil
	}
	return b
}

func dictScan(x *Executor) error {
	cursor, isInt, fits := intArgument(x.args[0])
	if !isInt || !fits || cursor < 0 {
		return &codec.Error{Status: codec.StatusValueError, Message: "a cursor is 0 or what the last scan returned"}
	}
	limit, isInt, _ := intArgument(x.args[1])
	if !isInt || limit < 1 || limit > maxScan {
		return &codec.Error{
			Status:  codec.StatusValueError,
			Message: fmt.Sprintf("a scan's limit is an int from 1 to %d", maxScan),
		}
	}
	at := len(x.body)
	x.body = append(x.body, uint64Lead, 0, 0, 0, 0, 0, 0, 0, 0) // the cursor is known when the entries are
	body, next, _, err := x.Table.Dict().Scan(&x.call, x.body, uint64(cursor), int(limit))
	if err != nil {
		return err
	}
	x.body = body
	binary.BigEndian.PutUint64(x.body[at+1:], next)
	return nil
}
