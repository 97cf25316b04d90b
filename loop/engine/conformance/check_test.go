package conformance

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/govalue"
	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// engineReplies makes operations on a new engine; none of their replies is larger than a frame.
func engineReplies(t *testing.T, ops []Operation) []codec.Reply {
	t.Helper()
	e := engine.New(engine.Env{Store: shardmap.NewStore(), Logger: slog.New(slog.DiscardHandler)})
	replies := make([]codec.Reply, len(ops))
	for i, o := range ops {
		req, _, err := codec.ParseRequest(o.Frame(nil, uint32(i)))
		if err != nil {
			t.Fatal(err)
		}
		out, _ := e.Do(nil, &req)
		if replies[i], _, err = codec.ParseReply(out); err != nil {
			t.Fatal(err)
		}
	}
	return replies
}

// TestConformanceFindsFaults alters replies of a correct engine: the comparison must find each.
func TestConformanceFindsFaults(t *testing.T) {
	t.Parallel()
	seed := Seed(t)
	model := StartOracle(t, seed)
	g := NewOperations(t, rand.New(rand.NewPCG(seed, 2)), model.Families)
	d, l := &Table{Name: "d"}, &Table{Name: "l"}
	ops := []Operation{
		g.Op(codec.OpCreateDict, d, g.Encode(false, "a", 1, "inf", govalue.Decimal("Infinity"), "b", 2.0)...),
		g.Op(codec.OpCreateList, l, g.Encode(false, 1, 2, 3)...),
		g.Op(codec.OpDictGet, d, g.Encode("a")...),
		g.Op(codec.OpDictItems, d),
		g.Op(codec.OpDictGetMany, d, g.Encode("x", "a")...),
		g.Op(codec.OpDictScan, d, g.Encode(0, 1)...),
		g.Op(codec.OpDictGet, d, g.Encode("x")...),
		g.Op(codec.OpDictIncrement, d, g.Encode("inf", govalue.Decimal("-Infinity"))...),
		g.Op(codec.OpListAll, l),
		g.Op(codec.OpListGet, l, g.Encode(7)...),
		g.Op(codec.OpListIndex, l, g.Encode("x")...),
	}
	replies := engineReplies(t, ops)
	answers := model.Run(ops)
	for i, o := range ops {
		if err := compareOutcome(model, o, replies[i], answers[i]); err != nil {
			t.Fatalf("%v: %v", o, err)
		}
		for name, broken := range alterations(replies[i]) {
			if err := compareOutcome(model, o, broken, answers[i]); err == nil {
				t.Errorf("%v: %s was not seen", o, name)
			}
		}
	}
}

// alterations returns replies that are not quite the given one.
func alterations(reply codec.Reply) map[string]codec.Reply {
	all := make(map[string]codec.Reply)
	change := func(name string, f func(r *codec.Reply)) {
		broken := reply
		broken.Body = bytes.Clone(reply.Body)
		f(&broken)
		all[name] = broken
	}
	change("another status", func(r *codec.Reply) { r.Status ^= 1 })
	if reply.Status != codec.StatusOK {
		change("another text", func(r *codec.Reply) { r.Body[2] ^= 1 })
		return all
	}
	change("one more value", func(r *codec.Reply) { r.Body = append(r.Body, 0) })
	change("another value", func(r *codec.Reply) { r.Body[len(r.Body)-1] ^= 1 })
	change("no value", func(r *codec.Reply) { r.Body = nil })
	change("float for int", func(r *codec.Reply) {
		if v, n, err := govalue.Decode(r.Body); err == nil {
			if i, isInt := v.(int64); isInt {
				r.Body = append(msgp.AppendFloat64(nil, float64(i)), r.Body[n:]...)
				return
			}
		}
		r.Body = nil
	})
	return all
}
