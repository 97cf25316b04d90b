package client

import (
	"context"
	"encoding/json"
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

// TableInfo describes one table of the server.
type TableInfo struct {
	Name string
	Kind Kind
	Len  int // items of a dict, elements of a list
}

// Ping sends a request without effect and returns when the server has answered.
func (c *Client) Ping(ctx context.Context) error { return perform(ctx, c.read(codec.OpPing, nil)) }

// Save writes a snapshot of all tables to the server's data file, and returns when it is on disk.
// Errors: ErrBadRequest if the server keeps its tables in memory only; ErrNotDurable if the file
// could not be written.
func (c *Client) Save(ctx context.Context) error { return perform(ctx, c.read(codec.OpSave, nil)) }

var infoJSON = sonic.Config{UseInt64: true, CopyString: true}.Froze()

// Info returns the server's INFO document: version, connections, memory, saves and so on. Integers
// are int64.
func (c *Client) Info(ctx context.Context) (map[string]any, error) {
	return request(ctx, c.read(codec.OpInfo, nil), func(q *call) (info map[string]any, err error) {
		text, err := govalue.UnmarshalOf[string](q.reply)
		if err == nil {
			err = infoJSON.UnmarshalFromString(text, &info)
		}
		return info, err
	})
}

// InfoSection returns a section of the server's INFO, one JSON object: "INFO" in PROTOCOL.md lists
// the sections and their parameters. The section "" is what Info returns; it has no parameters.
// Errors: ErrValue if the server does not know the section or a parameter.
func (c *Client) InfoSection(
	ctx context.Context,
	section string,
	parameters map[string]any,
) (json.RawMessage, error) {
	q := c.read(codec.OpInfo, nil)
	if section != "" || len(parameters) > 0 {
		add(q, section)
	}
	if len(parameters) > 0 {
		add(q, parameters)
	}
	return request(ctx, q, func(q *call) (info json.RawMessage, err error) {
		text, err := govalue.UnmarshalOf[string](q.reply)
		if err == nil {
			err = json.Unmarshal([]byte(text), &info)
		}
		return info, err
	})
}

// Digest is the digest of a server's tables: two databases have the same one only if they hold the
// same tables, items, order and versions. "Digest" in persist/FORMAT.md says what is hashed.
type Digest struct {
	Digest string `json:"digest"` // 32 hexadecimal digits
	LSN    uint64 `json:"lsn"`    // it shows exactly the changes up to this one
	Tables uint64 `json:"tables"`
	Items  uint64 `json:"items"` // entries and elements
}

// Digest returns the digest of all tables at a moment during the call. The server reads all of
// them, in the background. Errors: ErrServer if a table is poisoned.
func (c *Client) Digest(ctx context.Context) (Digest, error) {
	q := c.read(codec.OpInfo, nil)
	add(q, "digest")
	return request(ctx, q, func(q *call) (d Digest, err error) {
		text, err := govalue.UnmarshalOf[string](q.reply)
		if err == nil {
			err = infoJSON.UnmarshalFromString(text, &d)
		}
		return d, err
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

// Exists reports whether the table exists.
func (c *Client) Exists(ctx context.Context, table string) (bool, error) {
	return request(ctx, c.read(codec.OpExists, nameTable(table)), decodeOne[bool])
}

// Kind returns the table's kind. Errors: ErrNoSuchTable.
func (c *Client) Kind(ctx context.Context, table string) (Kind, error) {
	return request(ctx, c.read(codec.OpKind, nameTable(table)), decodeOne[Kind])
}

// Drop removes the table and its contents. Errors: ErrNoSuchTable.
func (c *Client) Drop(ctx context.Context, table string) error {
	return perform(ctx, c.write(codec.OpDrop, nameTable(table)))
}

// Rename changes the table's name to to. Errors: ErrNoSuchTable; ErrTableExists if to is taken.
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

// Dict returns a handle of a dict with keys and values of any type; see DictOf.
func (c *Client) Dict(table string) *Dict[any, any] { return DictOf[any, any](c, table) }

// List returns a handle of a list with elements of any type; see ListOf.
func (c *Client) List(table string) *List[any] { return ListOf[any](c, table) }

// CreateDict creates a dict with the given items. Errors: ErrTableExists.
func (c *Client) CreateDict(ctx context.Context, table string, items ...Item[any, any]) error {
	return c.Dict(table).Create(ctx, items...)
}

// CreateList creates a list with the given elements. Errors: ErrTableExists.
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

// tooLarge reports whether seal will return an error, so that there is no point in adding more
// arguments.
func (q *call) tooLarge() bool {
	return q.err != nil || q.args > codec.MaxArguments ||
		len(q.frame) > int(q.client.limits.Load().MaxFrameBytes)+codec.HeaderBytes
}
