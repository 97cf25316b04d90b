package stats

import "cyberdb-fast/codec"

// Totals is what the recorders of all event loops have counted together.
type Totals struct {
	Commands []Command // those that were used, by opcode
	tables   map[uint64]TableCounts
	// Other is the use of the tables that have no place of their own, and of those that are gone.
	Other TableCounts
}

// Command is what INFO tells of a command.
type Command struct {
	Name     string            `json:"name"`
	Statuses map[string]uint64 `json:"statuses"` // how often each was the answer
	BytesIn  uint64            `json:"bytes_in"`
	BytesOut uint64            `json:"bytes_out"`
	Latency  Latency           `json:"latency"`
}

// Merge adds up copies of recorders.
func Merge(copies []*Copy) *Totals {
	t := &Totals{tables: map[uint64]TableCounts{}}
	for op := range 256 {
		var sum *command
		for _, c := range copies {
			switch from := c.commands[op]; {
			case from == nil:
			case sum == nil:
				own := *from
				own.latency = from.latency.Copy()
				sum = &own
			default:
				sum.add(from)
			}
		}
		if sum != nil {
			t.Commands = append(t.Commands, sum.told(codec.Opcode(op)))
		}
	}
	for _, c := range copies {
		for _, row := range c.tables {
			if row.tag == 0 {
				t.Other.Add(row.TableCounts)
				continue
			}
			sum := t.tables[row.tag]
			sum.Add(row.TableCounts)
			t.tables[row.tag] = sum
		}
	}
	return t
}

func (c *command) add(from *command) {
	for status, n := range from.statuses {
		c.statuses[status] += n
	}
	c.bytesIn += from.bytesIn
	c.bytesOut += from.bytesOut
	c.latency.Add(from.latency)
}

func (c *command) told(op codec.Opcode) Command {
	told := Command{
		Name: op.String(), Statuses: map[string]uint64{}, BytesIn: c.bytesIn, BytesOut: c.bytesOut,
		Latency: c.latency.Latency(),
	}
	for status, n := range c.statuses {
		if n > 0 {
			told.Statuses[codec.Status(status).String()] = n
		}
	}
	return told
}

// Table returns how the table with a tag was used.
func (t *Totals) Table(tag uint64) TableCounts { return t.tables[tag] }

// Tables returns how the tables that have places of their own were used together.
func (t *Totals) Tables() (all TableCounts) {
	for _, counts := range t.tables {
		all.Add(counts)
	}
	return all
}
