package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/bytedance/sonic/ast"

	"cyberdb-fast/codec"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// What JSON lines say about the time that entries live, and about the limits of dicts:
// "JSON lines" in persist/FORMAT.md.

const (
	// forever is the text for persist.Forever.
	forever = "forever"
	// maxLimit is the largest limit of a dict.
	maxLimit = 1 << 48
)

// appendExpires appends when an entry expires, as a field of its line.
func appendExpires(dst []byte, deadline int64) []byte {
	switch {
	case deadline == persist.Forever:
		dst = append(dst, `,"expires":"`+forever+`"`...)
	case deadline > 0:
		dst = strconv.AppendInt(append(dst, `,"expires":`...), deadline, 10)
	}
	return dst
}

// parseExpires reads when an entry expires; 0: it does not say that.
func parseExpires(node *ast.Node) (deadline int64, err error) {
	if !node.Exists() {
		return 0, nil
	}
	if text, err := node.StrictString(); err == nil && text == forever {
		return persist.Forever, nil
	}
	deadline, err = node.StrictInt64()
	if err != nil || deadline < 1 || deadline > shardmap.MaxDeadline {
		return 0, fmt.Errorf(`"expires" must be a time, 1 to %d milliseconds since 1970, or "%s"`,
			int64(shardmap.MaxDeadline), forever)
	}
	return deadline, nil
}

// numberOptions are the options of a dict that are numbers, by name, with the highest.
var numberOptions = []struct {
	name string
	of   func(o *persist.TableOptions) *int64
	most int64
}{
	{"ttl", func(o *persist.TableOptions) *int64 { return &o.TTL }, codec.MaxTimeToLive},
	{"idle", func(o *persist.TableOptions) *int64 { return &o.Idle }, codec.MaxTimeToLive},
	{"max_entries", func(o *persist.TableOptions) *int64 { return &o.MaxEntries }, maxLimit},
	{"max_bytes", func(o *persist.TableOptions) *int64 { return &o.MaxBytes }, maxLimit},
}

// hasOptions reports whether a user has set an option of a table.
func hasOptions(o persist.TableOptions) bool {
	o.Since, o.Horizon = 0, 0
	return o != persist.TableOptions{}
}

// appendTableOptions appends the options of a table that are set, as a field of its line.
func appendTableOptions(dst []byte, o persist.TableOptions) []byte {
	if !hasOptions(o) {
		return dst
	}
	dst = append(dst, `,"options":`...)
	separator := byte('{')
	for _, option := range numberOptions {
		if n := *option.of(&o); n > 0 {
			dst = strconv.AppendInt(fmt.Appendf(dst, "%c%q:", separator, option.name), n, 10)
			separator = ','
		}
	}
	if policy := shardmap.Policy(o.Policy); policy != shardmap.DefaultPolicy {
		dst = fmt.Appendf(dst, `%c"policy":%q`, separator, policy.String())
	}
	return append(dst, '}')
}

// parseTableOptions reads the options of a table.
func parseTableOptions(node *ast.Node) (o persist.TableOptions, err error) {
	if !node.Exists() {
		return o, nil
	}
	if node.TypeSafe() != ast.V_OBJECT {
		return o, errors.New(`"options" must be an object`)
	}
	fields, err := node.Properties()
	if err != nil {
		return o, fmt.Errorf("the options: %w", err)
	}
	for field := (ast.Pair{}); fields.Next(&field); {
		if err := parseTableOption(&o, field.Key, &field.Value); err != nil {
			return o, err
		}
	}
	return o, nil
}

func parseTableOption(o *persist.TableOptions, name string, val *ast.Node) error {
	if name == "policy" {
		text, err := val.StrictString()
		policy, ok := shardmap.ParsePolicy(text)
		if err != nil || !ok {
			return errors.New(`the option "policy" must be "none", "s3fifo" or "ttl"`)
		}
		o.Policy = uint8(policy)
		return nil
	}
	for _, option := range numberOptions {
		if option.name != name {
			continue
		}
		n, err := val.StrictInt64()
		if err != nil || n < 1 || n > option.most {
			return fmt.Errorf("the option %q must be a number, 1 to %d", name, option.most)
		}
		*option.of(o) = n
		return nil
	}
	return fmt.Errorf("there is no option %q: a dict has ttl, idle, max_entries, max_bytes and policy", name)
}

// optionsText describes the options of a table that are set, for check.
func optionsText(o persist.TableOptions) (text string) {
	for _, option := range numberOptions {
		n := *option.of(&o)
		switch {
		case n == 0:
		case option.most == maxLimit:
			text += fmt.Sprintf(", %s %d", option.name, n)
		default:
			text += fmt.Sprintf(", %s %v", option.name, time.Duration(min(n, math.MaxInt64/1_000_000))*time.Millisecond)
		}
	}
	if policy := shardmap.Policy(o.Policy); policy != shardmap.DefaultPolicy {
		text += ", policy " + policy.String()
	}
	return text
}

// visible counts what an export of a file shows. It is a persist.Loader.
type visible struct {
	// constant
	now, saved int64 // when the export is made, and the file was

	items   []uint64      // of each table
	all     uint64        // items
	expires bool          // an entry or a table has what version 1 of JSON lines does not
	queues  bool          // a list has what version 2 does not
	table   persist.Table // the last one
}

func newVisible(info persist.FileInfo, now time.Time) *visible {
	saved := info.SavedAt(now)
	return &visible{now: max(now.UnixMilli(), saved), saved: saved} // the time of a store does not go back
}

// Table implements persist.Loader.
func (v *visible) Table(t persist.Table) error {
	v.table = t
	v.items = append(v.items, 0)
	v.expires = v.expires || hasOptions(t.Options)
	v.queues = v.queues || isQueue(&t)
	return nil
}

// Block implements persist.Loader.
func (v *visible) Block(b *persist.Block) error {
	n := uint64(b.Len())
	if v.table.Kind != persist.List {
		n = 0
		for e := range b.Entries() {
			if deadline, shown := v.shows(&v.table, &e); shown {
				n++
				v.expires = v.expires || deadline != 0
			}
		}
	}
	v.items[len(v.items)-1] += n
	v.all += n
	return nil
}

// shows returns the deadline of an entry, and whether it has not passed.
func (v *visible) shows(t *persist.Table, e *persist.Entry) (deadline int64, shown bool) {
	deadline = t.DeadlineOf(e, v.saved)
	return deadline, deadline <= 0 || deadline >= v.now
}
