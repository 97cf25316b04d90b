package loop

import (
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

func ping(*executor) error { return nil }

// createTable makes a table with its content, or answers false if one of this kind is there and that is all right.
func createTable(x *executor) error {
	existOK, err := boolArgument(x.args[0], "exist_ok")
	if err != nil {
		return err
	}
	kind, n := shardmap.KindDict, x.restN/2
	if x.op == codec.OpCreateList {
		kind, n = shardmap.KindList, x.restN
	}
	_, err = x.srv.store.Create(&x.call, string(x.name), kind, x.rest, n)
	if errors.Is(err, shardmap.ErrTableExists) && existOK {
		return x.checkKind(kind)
	}
	if err == nil {
		x.body = msgp.AppendBool(x.body, true)
	}
	return err
}

// checkKind answers false if the table that is there is of the given kind.
func (x *executor) checkKind(kind shardmap.Kind) error {
	table, ok := x.srv.store.Lookup(&x.call, x.name)
	if !ok {
		return shardmap.ErrNoTable
	}
	if table.Kind() != kind {
		return shardmap.ErrKind
	}
	x.body = msgp.AppendBool(x.body, false)
	return nil
}

func exists(x *executor) error {
	_, ok := x.srv.store.Lookup(&x.call, x.name)
	x.body = msgp.AppendBool(x.body, ok)
	return nil
}

func kind(x *executor) error {
	x.body = msgp.AppendString(x.body, x.table.Kind().String())
	return nil
}

// inlineTables and inlineTablesBytes bound the list of tables that is made on the event loop.
const (
	inlineTables      = 1024
	inlineTablesBytes = 64 << 10
	// tableCost is what it takes to list a table, in estimated nanoseconds.
	tableCost = 300
)

// tables lists few tables. Errors: ErrLong.
func tables(x *executor) (err error) {
	if !x.call.Beside && x.srv.store.Len() > inlineTables {
		return shardmap.ErrLong
	}
	x.call.Cost += tableCost * x.srv.store.Len()
	most := len(x.body) + inlineTablesBytes
	x.srv.store.Tables(func(name string, kind shardmap.Kind, length int) bool {
		x.body = appendTable(x.body, name, kind, length)
		if !x.call.Beside && len(x.body) > most {
			err = shardmap.ErrLong
		}
		return err == nil
	})
	return err
}

func appendTable(body []byte, name string, kind shardmap.Kind, length int) []byte {
	body = msgp.AppendString(body, name)
	body = msgp.AppendString(body, kind.String())
	return msgp.AppendInt(body, length)
}

func drop(x *executor) error {
	if err := x.findTable(anyTable); err != nil { // what to wait for, if a long write owns it
		return err
	}
	return x.srv.store.Drop(&x.call, string(x.name))
}

func rename(x *executor) error {
	name, rest, err := tableName(x.args[0])
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return &codec.Error{Status: codec.StatusBadArguments, Message: "RENAME takes one new name"}
	}
	if err := x.findTable(anyTable); err != nil { // what to wait for, if a long write owns it
		return err
	}
	if err = x.srv.store.Rename(&x.call, string(x.name), string(name)); errors.Is(err, shardmap.ErrTableExists) {
		return &codec.Error{Status: codec.StatusTableExists, Message: fmt.Sprintf("a table named %q exists already", name)}
	}
	return err
}

func tableLen(x *executor) error {
	n := x.table.Len()
	if x.table.Name() != string(x.name) { // renamed, perhaps before the length was read
		return shardmap.ErrNoTable
	}
	if err := x.table.Err(); err != nil {
		return err
	}
	x.body = msgp.AppendInt(x.body, n)
	return nil
}
