package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/bytedance/sonic/ast"
	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/jsonvalue"
	"cyberdb-fast/persist"
	"cyberdb-fast/shardmap"
)

// What JSON lines say of lists that are used as queues: "JSON lines" in persist/FORMAT.md. Receipts
// and claims are not in them: they are of no use after an import.

// isQueue reports whether a list has what version 2 of JSON lines does not.
func isQueue(t *persist.Table) bool { return t.Queue != persist.Queue{} }

// appendQueueOptions appends the options of a list that are set, as a field of its line.
func appendQueueOptions(dst []byte, q *persist.Queue) ([]byte, error) {
	if q.MaxDeliveries == 0 {
		return dst, nil
	}
	dst = fmt.Appendf(dst, `,"options":{"max_deliveries":%d,"dead_letter":`, q.MaxDeliveries)
	dst, err := jsonvalue.Append(dst, msgp.AppendString(nil, q.DeadLetter))
	return append(dst, '}'), err
}

// list writes the lines of a block of a list.
func (e *exporter) list(b *persist.Block) error {
	for h := range b.Held() {
		fields := strconv.AppendInt([]byte(`,"due":`), h.Due, 10)
		if h.Delayed {
			fields = append(fields, `,"delayed":true`...)
		}
		if err := e.element(h.Val, appendDeliveries(fields, h.Deliveries)); err != nil {
			return err
		}
	}
	for n, val := range b.Counted() {
		if err := e.element(val, appendDeliveries(nil, n)); err != nil {
			return err
		}
	}
	return nil
}

func appendDeliveries(dst []byte, n uint32) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, `,"deliveries":`...), uint64(n), 10)
}

// element writes the line of an element or of a held item, with more fields.
func (e *exporter) element(val, fields []byte) (err error) {
	if e.line, err = jsonvalue.Append(append(e.line[:0], `{"value":`...), val); err != nil {
		return err
	}
	e.line = append(append(e.line, fields...), '}', '\n')
	_, err = e.out.Write(e.line)
	return err
}

// parseQueueOptions reads the options of a list.
func parseQueueOptions(node *ast.Node, table string) (q persist.Queue, err error) {
	if !node.Exists() {
		return q, nil
	}
	if node.TypeSafe() != ast.V_OBJECT {
		return q, errors.New(`"options" must be an object`)
	}
	fields, err := node.Properties()
	if err != nil {
		return q, fmt.Errorf("the options: %w", err)
	}
	for field := (ast.Pair{}); fields.Next(&field); {
		switch field.Key {
		case "max_deliveries":
			n, err := field.Value.StrictInt64()
			if err != nil || n < 1 || n > maxDeliveries {
				return q, fmt.Errorf(`the option "max_deliveries" must be a number, 1 to %d`, maxDeliveries)
			}
			q.MaxDeliveries = uint64(n)
		case "dead_letter":
			q.DeadLetter, err = field.Value.StrictString()
			if n := len(q.DeadLetter); err != nil || n < 1 || n > codec.MaxTableNameBytes || q.DeadLetter == table {
				return q, errors.New(`the option "dead_letter" must be the name of another table`)
			}
		default:
			return q, fmt.Errorf("there is no option %q: a list has max_deliveries and dead_letter", field.Key)
		}
	}
	if (q.MaxDeliveries == 0) != (q.DeadLetter == "") {
		return q, errors.New("max_deliveries and dead_letter are set together, or neither is")
	}
	return q, nil
}

// maxDeliveries is the largest number of deliveries that the options of a list allow.
const maxDeliveries = 1000

// element handles the line of an element, or of a held item, whose receipt is the next LSN.
func (in *jsonImport) element(node *ast.Node, val []byte) error {
	n := uint64(0)
	if node.Get("deliveries").Exists() {
		var err error
		if n, err = countOf(node, "deliveries"); err != nil || n > math.MaxUint32 {
			return fmt.Errorf(`"deliveries" must be a number, 0 to %d`, uint32(math.MaxUint32))
		}
	}
	if !node.Get("due").Exists() {
		return in.to.Counted(uint32(n), val)
	}
	due, err := countOf(node, "due")
	if err != nil || due > shardmap.MaxDeadline {
		return fmt.Errorf(`"due" must be a time, 0 to %d milliseconds since 1970`, int64(shardmap.MaxDeadline))
	}
	delayed, _ := node.Get("delayed").Bool() // absent: it is leased
	if !delayed && n == 0 {
		return errors.New(`a held item is "delayed", or has "deliveries"`)
	}
	return in.to.Held(persist.HeldItem{
		Receipt: in.lsn, Due: int64(due), Deliveries: uint32(n), Delayed: delayed, Val: val,
	})
}

// queueText describes what a list has as a queue, for check.
func queueText(q *persist.Queue) (text string) {
	if q.Held > 0 {
		text = fmt.Sprintf(", %d held", q.Held)
	}
	if q.MaxDeliveries > 0 {
		text += fmt.Sprintf(", after %d deliveries to %q", q.MaxDeliveries, q.DeadLetter)
	}
	return text
}
