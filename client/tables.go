package client

import (
	"context"
	"iter"

	"github.com/bytedance/sonic"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
)

// Kind is the kind of a table.
type Kind string

// The kinds of tables.
const (
	KindDict Kind = "dict"
	KindList Kind = "list"
)

// TableInfo is one table of the server.
type TableInfo struct {
	Name string
	Kind Kind
	Len  int
}

// Ping returns when the server has answered.
func (c *Client) Ping(ctx context.Context) error { return perform(ctx, c.read(codec.OpPing, nil)) }

// Save returns when everything changed before it is in the server's file, on disk. Errors:
// ErrBadRequest from a server that keeps its tables in memory only; ErrNotDurable if it could not
// be written.
func (c *Client) Save(ctx context.Context) error { return perform(ctx, c.read(codec.OpSave, nil)) }

var infoJSON = sonic.Config{UseInt64: true, CopyString: true}.Froze()

// Info returns what the server says about itself; integers come as int64.
func (c *Client) Info(ctx context.Context) (map[string]any, error) {
	return request(ctx, c.read(codec.OpInfo, nil), func(q *call) (info map[string]any, err error) {
		text, err := govalue.UnmarshalOf[string](q.reply)
		if err == nil {
			err = infoJSON.UnmarshalFromString(text, &info)
		}
		return info, err
	})
}

// Tables returns the server's tables in the order of their creation.
func (c *Client) Tables(ctx context.Context) ([]TableInfo, error) {
	return request(ctx, c.read(codec.OpTables, nil), func(q *call) (all []TableInfo, err error) {
		for b := q.reply; len(b) > 0; {
			var t TableInfo
			if b, err = decodeNext(b, &t.Name); err == nil {
				b, err = decodeNext(b, (*string)(&t.Kind))
			}
			if err == nil {
				b, err = decodeNext(b, &t.Len)
			}
			if err != nil {
				return nil, err
			}
			all = append(all, t)
		}
		return all, nil
	})
}

// Exists says whether there is a table of the name.
func (c *Client) Exists(ctx context.Context, table string) (bool, error) {
	return request(ctx, c.read(codec.OpExists, nameTable(table)), decodeOne[bool])
}

// Kind returns the table's kind. Errors: ErrNoSuchTable.
func (c *Client) Kind(ctx context.Context, table string) (Kind, error) {
	return request(ctx, c.read(codec.OpKind, nameTable(table)), decodeOne[Kind])
}

// Drop removes the table and all that is in it. Errors: ErrNoSuchTable.
func (c *Client) Drop(ctx context.Context, table string) error {
	return perform(ctx, c.write(codec.OpDrop, nameTable(table)))
}

// Rename gives the table another name. Errors: ErrNoSuchTable, ErrTableExists.
func (c *Client) Rename(ctx context.Context, table, to string) error {
	return perform(ctx, c.rename(table, to))
}

func (c *Client) rename(table, to string) *call {
	q := c.write(codec.OpRename, nameTable(table))
	if name := nameTable(to); name.err != nil && q.err == nil {
		q.err = name.err
	} else {
		add(q, to)
	}
	return q
}

// Dict returns the handle of a dict of any values; see DictOf.
func (c *Client) Dict(table string) *Dict[any, any] { return DictOf[any, any](c, table) }

// List returns the handle of a list of any values; see ListOf.
func (c *Client) List(table string) *List[any] { return ListOf[any](c, table) }

// CreateDict makes a dict that holds items. Errors: ErrTableExists.
func (c *Client) CreateDict(ctx context.Context, table string, items ...Item[any, any]) error {
	return c.Dict(table).Create(ctx, items...)
}

// CreateList makes a list that holds items. Errors: ErrTableExists.
func (c *Client) CreateList(ctx context.Context, table string, items ...any) error {
	return c.List(table).Create(ctx, items...)
}

func addItems[K, V any](q *call, items iter.Seq2[K, V]) *call {
	for k, v := range items {
		add(q, k)
		add(q, v)
		if q.tooLarge() {
			break
		}
	}
	return q
}

func addAll[T any](q *call, items []T) *call {
	for _, v := range items {
		add(q, v)
		if q.tooLarge() {
			break
		}
	}
	return q
}

// tooLarge says that the frame need not be made any longer: seal will refuse it, or something else
// is wrong with it.
func (q *call) tooLarge() bool {
	return q.err != nil || q.args > codec.MaxArguments ||
		len(q.frame) > int(q.client.limits.Load().MaxFrameBytes)+codec.HeaderBytes
}
