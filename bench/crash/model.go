package main

import (
	"maps"
	"slices"
)

// table is what a dict or a list must hold: keys in their order with integers and strings, or
// elements.
type table struct {
	isList   bool
	keys     []string
	vals     map[string]any
	elements []string
}

// model is the tables of one client, by name.
type model map[string]*table

func (m model) clone() model {
	c := make(model, len(m))
	for name, t := range m {
		c[name] = &table{t.isList, slices.Clone(t.keys), maps.Clone(t.vals), slices.Clone(t.elements)}
	}
	return c
}

func (m model) equal(o model) bool {
	return maps.EqualFunc(m, o, func(a, b *table) bool {
		return a.isList == b.isList && slices.Equal(a.keys, b.keys) && slices.Equal(a.elements, b.elements) &&
			maps.Equal(a.vals, b.vals)
	})
}

func newDict() *table { return &table{vals: map[string]any{}} }

func (t *table) set(key string, val any) {
	if _, ok := t.vals[key]; !ok {
		t.keys = append(t.keys, key)
	}
	t.vals[key] = val
}

// remove removes a key and returns its value.
func (t *table) remove(key string) any {
	val := t.vals[key]
	delete(t.vals, key)
	t.keys = slices.DeleteFunc(t.keys, func(k string) bool { return k == key })
	return val
}

func (t *table) number(key string) int64 {
	n, _ := t.vals[key].(int64)
	return n
}
