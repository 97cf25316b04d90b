package engine

import (
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/shardmap"
)

func ping(*Executor) error { return nil }

// createTable creates a table with its content. It returns false if exist_ok is set and a table of
// this name and kind exists.
func createTable(x *Executor) error {
	kind, n := shardmap.KindDict, x.restN/2
	if x.Op == codec.OpCreateList {
		kind, n = shardmap.KindList, x.restN
	}
	existOK, err := x.creation(kind)
	if err != nil {
		return err
	}
	if err := x.mayName(x.TableName); err != nil {
		return err
	}
	_, err = x.engine.env.Store.Create(&x.call, string(x.TableName), kind, x.rest, n)
	if errors.Is(err, shardmap.ErrTableExists) && existOK {
		return x.checkKind(kind)
	}
	if err == nil {
		x.body = msgp.AppendBool(x.body, true)
	}
	return err
}

// checkKind returns false if the existing table is of the given kind.
func (x *Executor) checkKind(kind shardmap.Kind) error {
	table, ok := x.engine.env.Store.Lookup(&x.call, x.TableName)
	if !ok {
		return shardmap.ErrNoTable
	}
	if table.Kind() != kind {
		return shardmap.ErrKind
	}
	x.body = msgp.AppendBool(x.body, false)
	return nil
}

// mayName returns an error if a table that is created, or gets another name, must not have this
// one.
func (x *Executor) mayName(name []byte) error {
	if string(name) == LocksTable && !x.call.Replay {
		return valueError(fmt.Sprintf("the name %q is for the table of the locks, which LOCK creates", name))
	}
	return nil
}

func exists(x *Executor) error {
	_, ok := x.engine.env.Store.Lookup(&x.call, x.TableName)
	x.body = msgp.AppendBool(x.body, ok)
	return nil
}

func kind(x *Executor) error {
	x.body = msgp.AppendString(x.body, x.Table.Kind().String())
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
func tables(x *Executor) (err error) {
	if !x.call.MayBlock && x.engine.env.Store.Len() > inlineTables {
		return shardmap.ErrLong
	}
	x.call.Cost += tableCost * x.engine.env.Store.Len()
	most := len(x.body) + inlineTablesBytes
	x.engine.env.Store.Tables(func(name string, kind shardmap.Kind, length int) bool {
		x.body = appendTable(x.body, name, kind, length)
		if !x.call.MayBlock && len(x.body) > most {
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

func drop(x *Executor) error {
	if err := x.findTable(AnyTable); err != nil { // to wait for it, if a long write owns it
		return err
	}
	return x.engine.env.Store.Drop(&x.call, string(x.TableName))
}

func rename(x *Executor) error {
	name, rest, err := tableName(x.args[0])
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return &codec.Error{Status: codec.StatusBadArguments, Message: "RENAME takes one new name"}
	}
	if err := x.findTable(AnyTable); err != nil { // to wait for it, if a long write owns it
		return err
	}
	if err := x.mayName(name); err != nil {
		return err
	}
	if x.Table.Kind() == shardmap.KindLocks && !x.call.Replay {
		return valueError(fmt.Sprintf("table %q has the locks: it cannot be renamed", x.TableName))
	}
	err = x.engine.env.Store.Rename(&x.call, string(x.TableName), string(name))
	if errors.Is(err, shardmap.ErrTableExists) {
		return &codec.Error{
			Status:  codec.StatusTableExists,
			Message: fmt.Sprintf("a table named %q exists already", name),
		}
	}
	return err
}

func tableLen(x *Executor) error {
	n, err := x.Table.Len(), error(nil)
	if dict := x.Table.Dict(); dict != nil {
		if n, err = dict.Count(&x.call); err != nil {
			return err
		}
	}
	if x.Table.Name() != string(x.TableName) { // renamed, perhaps before the length was read
		return shardmap.ErrNoTable
	}
	if err := x.Table.Err(); err != nil {
		return err
	}
	x.body = msgp.AppendInt(x.body, n)
	return nil
}

// info returns figures of the program that the engine runs in, or one of its sections.
func info(x *Executor) error {
	if x.n > 0 {
		return x.infoSection()
	}
	if x.engine.env.Info == nil {
		return unsupported("this server has no figures")
	}
	text, err := x.engine.env.Info()
	if err != nil {
		return err
	}
	x.body = msgp.AppendStringFromBytes(x.body, text)
	return nil
}

// save replies once the tables are on disk.
func save(x *Executor) error {
	if x.engine.env.Save == nil {
		return unsupported("this server keeps its tables in memory only")
	}
	if !x.call.MayBlock {
		return shardmap.ErrLong
	}
	err := x.engine.env.Save()
	var ready *codec.Error
	if err != nil && !errors.As(err, &ready) {
		return &codec.Error{Status: codec.StatusNotDurable, Message: err.Error()}
	}
	x.body = msgp.AppendBool(x.body, true)
	return err
}

func unsupported(why string) error {
	return &codec.Error{Status: codec.StatusUnsupported, Message: why}
}
