package eval

import (
	"context"
	"errors"
	"fmt"
	"math"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/codec/govalue"
)

// table is a handle of a table of the server.
type table struct {
	db   *client.Client
	name string
	kind client.Kind
}

func (t *table) dict() *client.Dict[govalue.Encoded, govalue.Encoded] {
	return client.DictOf[govalue.Encoded, govalue.Encoded](t.db, t.name)
}

func (t *table) list() *client.List[govalue.Encoded] {
	return client.ListOf[govalue.Encoded](t.db, t.name)
}

// lookUp returns what a name stands for: what was assigned to it, otherwise a table of the server,
// whose kind is asked for once.
func (e *evaluation) lookUp(n syntax.Name) (object, error) {
	e.steps++
	if t, ok := e.names[n.Name]; ok {
		return t, nil
	}
	if kind, ok := e.kinds[n.Name]; ok {
		e.recalled = true
		return &table{e.db, n.Name, kind}, nil
	}
	t, err := e.existing(n.Name)
	if errors.Is(err, client.ErrNoSuchTable) {
		msg := fmt.Sprintf(`no table is named '%[1]s': create one with %[1]s = dict("%[1]s"), or list(...)`, n.Name)
		if isFunction(n.Name) {
			msg = "'" + n.Name + "' is a function: call it, " + n.Name + "(...)"
		}
		return nil, &Error{"NameError", msg}
	}
	return t, err
}

// existing returns a table of the server. Errors: ErrNoSuchTable.
func (e *evaluation) existing(name string) (*table, error) {
	kind, err := e.kind(e.ctx, name)
	if err != nil {
		return nil, err
	}
	return &table{e.db, name, kind}, nil
}

// all is the whole content.
func (t *table) all() *Sequence {
	if t.kind == client.KindList {
		return &Sequence{Elements, t.scanList}
	}
	return &Sequence{Items, func(ctx context.Context, yield func(key, val govalue.Encoded) bool) error {
		items, failed := t.dict().Scan(ctx)
		items(yield)
		return failed()
	}}
}

// Elements of one page of a list: as many as make about so many bytes.
const (
	firstPage = 64
	lastPage  = 4096
	pageBytes = 1 << 20
)

// scanList reads a list from its beginning until it ends.
func (t *table) scanList(ctx context.Context, yield func(_, val govalue.Encoded) bool) error {
	return t.scan(ctx, 0, 1, math.MaxInt, yield)
}

// scan reads count elements of a list, page by page; fewer if the list ends before.
func (t *table) scan(ctx context.Context, first, step, count int, yield func(_, val govalue.Encoded) bool) error {
	for page := firstPage; count > 0; {
		page = min(page, count)
		stop := first + page*step
		if stop < 0 {
			stop = client.None
		}
		vals, err := t.list().Slice(ctx, first, stop, step)
		if err != nil {
			return err
		}
		bytes := 0
		for _, val := range vals {
			if !yield(nil, val) {
				return nil
			}
			bytes += len(val)
		}
		if len(vals) < page {
			return nil
		}
		first, count = stop, count-page
		switch {
		case bytes > pageBytes:
			page = max(page/4, 1)
		case bytes < pageBytes/4:
			page = min(page*2, lastPage)
		}
	}
	return nil
}

// assign executes t[k] = v, t[a:b] = v and name = table.
func (e *evaluation) assign(st syntax.Assignment) error {
	switch target := st.Target.(type) {
	case syntax.Name:
		return e.bind(target, st.Value)
	case syntax.Index:
		t, err := e.changed(target.Of, target)
		if err != nil {
			return err
		}
		val, err := e.value(st.Value)
		if err != nil {
			return err
		}
		if t.kind == client.KindDict {
			key, err := e.value(target.Index)
			if err != nil {
				return err
			}
			return t.dict().Set(e.ctx, key, val)
		}
		i, err := e.listIndex(target.Index)
		if err != nil {
			return err
		}
		return t.list().Set(e.ctx, i, val)
	case syntax.Slice:
		return e.assignSlice(target, st.Value)
	}
	return e.errorAt(st.Target, "SyntaxError", "nothing can be assigned to this")
}

// bind makes a name stand for a table. What is no table is refused before it is executed, since
// name = queue.pop() would lose the element.
func (e *evaluation) bind(name syntax.Name, n syntax.Node) error {
	if opensTable(n) {
		clear(e.kinds) // a table that is there no more gets no name
		o, err := e.evaluate(n)
		if err != nil {
			return err
		}
		if t, isTable := o.(*table); isTable {
			e.names[name.Name] = t
			return nil
		}
	}
	return e.errorAt(name, "TypeError", "a name stands for a table: write "+name.Name+` = dict("`+name.Name+
		`"), or store the value under a key: t[key] = value`)
}

// opensTable reports whether an expression can stand for a table.
func opensTable(n syntax.Node) bool {
	if call, ok := n.(syntax.Call); ok {
		n = call.Function
		f, ok := n.(syntax.Name)
		return ok && (f.Name == "dict" || f.Name == "list" || f.Name == "table")
	}
	_, ok := n.(syntax.Name)
	return ok
}

func (e *evaluation) assignSlice(target syntax.Slice, n syntax.Node) error {
	t, err := e.changed(target.Of, target)
	if err != nil {
		return err
	}
	start, stop, step, err := e.bounds(t, target)
	if err != nil {
		return err
	}
	vals, err := e.elements(n)
	if err != nil {
		return err
	}
	return t.list().SetSlice(e.ctx, start, stop, step, vals...)
}

// remove executes del t[k] and del t[a:b].
func (e *evaluation) remove(st syntax.Deletion) error {
	switch target := st.Target.(type) {
	case syntax.Index:
		t, err := e.changed(target.Of, target)
		if err != nil {
			return err
		}
		if t.kind == client.KindDict {
			key, err := e.value(target.Index)
			if err != nil {
				return err
			}
			return t.dict().Delete(e.ctx, key)
		}
		i, err := e.listIndex(target.Index)
		if err != nil {
			return err
		}
		return t.list().Delete(e.ctx, i)
	case syntax.Slice:
		t, err := e.changed(target.Of, target)
		if err != nil {
			return err
		}
		start, stop, step, err := e.bounds(t, target)
		if err != nil {
			return err
		}
		return t.list().DeleteSlice(e.ctx, start, stop, step)
	}
	return e.errorAt(st.Target, "SyntaxError", `del removes items: to remove a whole table, write delete_table("name")`)
}

// changed returns the table whose item a statement changes.
func (e *evaluation) changed(of, at syntax.Node) (*table, error) {
	o, err := e.evaluate(of)
	if err != nil {
		return nil, err
	}
	t, isTable := o.(*table)
	if !isTable {
		return nil, e.errorAt(at, "TypeError", "this would change a copy of the value only: assign the whole value, "+
			"t[key] = value")
	}
	return t, nil
}
