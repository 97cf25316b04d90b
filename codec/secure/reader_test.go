package secure

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReader(t *testing.T) {
	text := bytes.Repeat([]byte("what the records carry. "), 10_000)
	s, _ := streams()
	wire := seal(t, s, text[:10])
	wire = append(wire, seal(t, s, text[10:])...)
	end, err := s.End(nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := append(bytes.Clone(wire), end...)
	pieces := map[string]func(io.Reader) io.Reader{
		"whole":               func(r io.Reader) io.Reader { return r },
		"halves":              iotest.HalfReader,
		"bytes":               iotest.OneByteReader,
		"data with its error": iotest.DataErrReader,
	}
	for name, piece := range pieces {
		for _, first := range []int{0, 1, 100, len(whole)} {
			_, o := streams()
			in := bytes.Clone(whole)
			got, err := io.ReadAll(NewReader(piece(bytes.NewReader(in[first:])), o, in[:first]))
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s, %d first: %d of %d bytes, %v", name, first, len(got), len(text), err)
			}
		}
	}
	for _, cut := range []int{0, 5, 10 + RecordOverhead, len(wire) - 1, len(wire), len(whole) - 1} {
		_, o := streams()
		if _, err := io.ReadAll(NewReader(bytes.NewReader(bytes.Clone(whole[:cut])), o, nil)); !errors.Is(err, ErrCut) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	_, o := streams()
	broken := errors.New("broken")
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(broken), o, nil)); !errors.Is(err, broken) {
		t.Errorf("a source that fails: %v", err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(wire)-1] ^= 1
	_, o = streams()
	if got, err := io.ReadAll(
		NewReader(bytes.NewReader(damaged), o, nil),
	); !errors.Is(err, ErrRecord) ||
		!bytes.HasPrefix(text, got) {
		t.Errorf("damaged: %d bytes, %v", len(got), err)
	}
}
