package eval

import (
	"maps"
	"slices"
	"strings"

	"cyberdb-fast/client"
	"cyberdb-fast/codec/govalue"
)

const limitParameters = "ttl=None, idle=None, max_entries=None, max_bytes=None, policy=None"

// functions are the functions of the shell. init breaks the circle: their bodies evaluate calls.
var functions map[string]function

func init() {
	functions = map[string]function{
		"len": {"table", "the number of items", func(c *call) (object, error) { return c.length(c.args["table"]) }},
		"dict": {
			"name, *, " + limitParameters, "opens the dict, or creates it with these limits",
			(*call).openDict,
		},
		"list": {"name", "opens the list, or creates it", (*call).openList},
		"table": {"name", "opens a table that exists", func(c *call) (object, error) {
			name, err := c.text("name")
			if err != nil {
				return nil, err
			}
			return c.existing(name)
		}},
		"exists": {"name", "whether there is a table of this name", func(c *call) (object, error) {
			name, err := c.text("name")
			if err != nil {
				return nil, err
			}
			exists, err := c.db.Exists(c.ctx, name)
			return boolean(exists), err
		}},
		"delete_table": {"name", "removes the table and its content", func(c *call) (object, error) {
			name, err := c.text("name")
			if err != nil {
				return nil, err
			}
			delete(c.kinds, name)
			return nothing{}, c.db.Drop(c.ctx, name)
		}},
		"rename_table": {"name, new", "renames the table", func(c *call) (object, error) {
			name, err := c.text("name")
			if err != nil {
				return nil, err
			}
			to, err := c.text("new")
			if err != nil {
				return nil, err
			}
			clear(c.kinds)
			return nothing{}, c.db.Rename(c.ctx, name, to)
		}},
	}
}

func isFunction(name string) bool {
	_, ok := functions[name]
	return ok || constructors[name] != nil
}

func functionNames() string {
	return strings.Join(slices.Sorted(maps.Keys(functions)), ", ") + " and the constructors of values"
}

// openDict opens a dict, or creates it. Limits that differ from those of a dict that exists are an
// error, since they would have no effect.
func (c *call) openDict() (object, error) {
	name, err := c.text("name")
	if err != nil {
		return nil, c.meansTable(err)
	}
	limits, err := c.limits()
	if err != nil {
		return nil, err
	}
	t := &table{c.db, name, client.KindDict}
	made, err := t.dict().EnsureWith(c.ctx, limits)
	if err != nil || made || limits == (client.DictOptions{}) {
		return t, err
	}
	have, err := t.dict().Options(c.ctx)
	if err != nil {
		return nil, err
	}
	if differ(limits, have) {
		return nil, valueError("the dict '%s' exists and has other limits: change them with .configure(...)", name)
	}
	return t, nil
}

// differ reports whether a limit is wanted that a dict has not.
func differ(want, have client.DictOptions) bool {
	return want.TTL != 0 && want.TTL != have.TTL || want.Idle != 0 && want.Idle != have.Idle ||
		want.MaxEntries != 0 && want.MaxEntries != have.MaxEntries ||
		want.MaxBytes != 0 && want.MaxBytes != have.MaxBytes ||
		want.Policy != "" && want.Policy != client.DefaultPolicy && want.Policy != have.Policy
}

func (c *call) openList() (object, error) {
	name, err := c.text("name")
	if err != nil {
		return nil, c.meansTable(err)
	}
	t := &table{c.db, name, client.KindList}
	_, err = t.list().Ensure(c.ctx)
	return t, err
}

// meansTable says that dict and list open tables here.
func (c *call) meansTable(error) error {
	return c.errorAt(c.node, "TypeError", `dict("name") and list("name") open tables of the server: write values as `+
		"{...} and [...]")
}

// limits returns the limits of a dict that are given.
func (c *call) limits() (o client.DictOptions, err error) {
	if o.TTL, _, err = c.duration("ttl"); err != nil {
		return o, err
	}
	if o.Idle, _, err = c.duration("idle"); err != nil {
		return o, err
	}
	if o.MaxEntries, err = c.limit("max_entries"); err != nil {
		return o, err
	}
	if o.MaxBytes, err = c.limit("max_bytes"); err != nil {
		return o, err
	}
	if b, err := c.given("policy"); err != nil || isNone(b) {
		return o, err
	}
	policy, err := c.text("policy")
	o.Policy = client.Policy(policy)
	return o, err
}

// limit returns an argument that is a limit; 0 if it is None or missing.
func (c *call) limit(name string) (int, error) {
	b, err := c.given(name)
	if err != nil || isNone(b) {
		return 0, err
	}
	i, fits, err := intOf(b)
	if err != nil || !fits || i < 1 {
		return 0, valueError("%s is an int above 0, or None", name)
	}
	return i, nil
}

func isNone(b govalue.Encoded) bool { return len(b) == 1 && b[0] == 0xc0 }
