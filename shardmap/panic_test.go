package shardmap

import (
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
)

// TestPanicInBackground: a panic while the memory of a dropped dict is freed is reported, and the
// store continues.
func TestPanicInBackground(t *testing.T) {
	s := NewStore()
	reported := make(chan any)
	s.OnPanic(func(p any) { reported <- p })
	create(t, s, &Call{}, "d", KindDict, 0, "")
	table, _ := s.Lookup(&Call{}, []byte("d"))
	large := msgp.AppendString(nil, strings.Repeat("x", minSlabBytes))
	for i := range 2 * inlineFrees {
		if err := table.Dict().Set(&Call{MayBlock: true}, msgp.AppendInt(nil, i), large); err != nil {
			t.Fatal(err)
		}
	}
	table.Dict().dir.Load().each(func(sh *shard) { sh.createdLSNs = nil }) // a fault
	if err := s.Drop(&Call{}, "d"); err != nil {
		t.Fatal(err)
	}
	<-reported
	create(t, s, &Call{}, "d", KindDict, 0, "")
	again, _ := s.Lookup(&Call{}, []byte("d"))
	if err := again.Dict().Set(&Call{}, msgp.AppendInt(nil, 1), large); err != nil {
		t.Error(err)
	}
}

// TestPanicInParts: a panic in one of the goroutines that restore a table is raised again in the
// caller.
func TestPanicInParts(t *testing.T) {
	defer func() {
		if p, _ := recover().(string); !strings.HasPrefix(p, "defect\n") || !strings.Contains(p, "TestPanicInParts") {
			t.Errorf("the panic is %q", p)
		}
	}()
	_ = inParallel(4, func(i int) error {
		if i == 2 {
			panic("defect")
		}
		return nil
	})
}
