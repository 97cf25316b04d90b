package secure

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func streams() (*Sealer, *Opener) {
	secret := keyOf(7)
	return newSealer(secret), newOpener(secret)
}

func seal(t testing.TB, s *Sealer, plain []byte) []byte {
	t.Helper()
	b, err := s.Seal(nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openAll opens what is whole in b. The records are copied first: opening changes them.
func openAll(o *Opener, b []byte) (plain []byte, rest int, err error) {
	b = bytes.Clone(b)
	for {
		part, n, err := o.Open(b)
		if err != nil {
			return plain, len(b), err
		}
		plain, b = append(plain, part...), b[n:]
	}
}

func TestRecords(t *testing.T) {
	s, o := streams()
	var sent []byte
	text := []byte("frames of any length")
	for _, n := range []int{1, 15, 16, 17, 64, 4096, MaxRecordBytes - 1, MaxRecordBytes, MaxRecordBytes + 1, 5*MaxRecordBytes + 3} {
		plain := bytes.Repeat(text, n/len(text)+1)[:n]
		records := seal(t, s, plain)
		if want := n + (n+MaxRecordBytes-1)/MaxRecordBytes*RecordOverhead; len(records) != want {
			t.Errorf("%d bytes make %d, want %d", n, len(records), want)
		}
		if n >= 64 && bytes.Contains(records, text) {
			t.Errorf("%d bytes: the text is readable", n)
		}
		got, rest, err := openAll(o, records)
		if !errors.Is(err, ErrShort) || rest != 0 || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: %d came back, %d left, %v", n, len(got), rest, err)
		}
		sent = append(sent, plain...)
	}
	if b := seal(t, s, nil); len(b) != 0 {
		t.Errorf("nothing makes %d bytes", len(b))
	}
	end, err := s.End(nil)
	if err != nil || len(end) != RecordOverhead {
		t.Fatalf("%x, %v", end, err)
	}
	for range 2 {
		if _, _, err := o.Open(end); !errors.Is(err, ErrEnd) {
			t.Errorf("the end: %v", err)
		}
		if _, err := s.Seal(nil, sent[:1]); !errors.Is(err, ErrEnd) {
			t.Errorf("sealed after the end: %v", err)
		}
		if _, err := s.End(nil); !errors.Is(err, ErrEnd) {
			t.Errorf("ended after the end: %v", err)
		}
	}
}

// TestRecordsBySpecification seals by the words of PROTOCOL.md alone, with nothing of this package
// but its labels.
func TestRecordsBySpecification(t *testing.T) {
	secret := keyOf(7)
	keys, err := hkdf.Expand(sha256.New, secret, "cyberdb-fast 1 record keys", 80)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(keys[:32])
	if err != nil {
		t.Fatal(err)
	}
	stream := cipher.NewCTR(block, keys[32:48])
	s, _ := streams()
	for sequence, plain := range [][]byte{[]byte("a"), []byte("record that is longer than one block of AES"), nil} {
		head := binary.LittleEndian.AppendUint64(nil, uint64(sequence))
		record := binary.LittleEndian.AppendUint32(nil, uint32(len(plain)))
		head = append(head, record...)
		ciphertext := make([]byte, len(plain))
		stream.XORKeyStream(ciphertext, plain)
		mac := hmac.New(sha256.New, keys[48:])
		mac.Write(append(head, ciphertext...))
		record = append(append(record, ciphertext...), mac.Sum(nil)[:16]...)
		got := seal(t, s, plain)
		if plain == nil {
			if got, err = s.End(nil); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, record) {
			t.Errorf("record %d: %x, want %x", sequence, got, record)
		}
	}
}

// TestRecordsCut opens a stream that arrives in pieces of any size: each record opens once it is
// whole.
func TestRecordsCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s, o := streams()
	var wire, want []byte
	for range 200 {
		plain := make([]byte, 1+rng.IntN(300))
		for i := range plain {
			plain[i] = byte(rng.Uint32())
		}
		want = append(want, plain...)
		wire = append(wire, seal(t, s, plain)...)
	}
	var got, kept []byte
	for len(wire) > 0 {
		n := 1 + rng.IntN(min(len(wire), 100))
		kept, wire = append(kept, wire[:n]...), wire[n:]
		for {
			plain, n, err := o.Open(kept)
			if errors.Is(err, ErrShort) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got, kept = append(got, plain...), kept[n:]
		}
	}
	if !bytes.Equal(got, want) || len(kept) != 0 {
		t.Errorf("%d of %d bytes came, %d kept", len(got), len(want), len(kept))
	}
}

// TestRecordsTampered changes a stream in every way that an attacker can; what opens is what was
// sealed, in order, and nothing opens after the change.
func TestRecordsTampered(t *testing.T) {
	texts := []string{"first", "second record", "third"}
	make3 := func() (records [][]byte) {
		s, _ := streams()
		for _, text := range texts {
			records = append(records, seal(t, s, []byte(text)))
		}
		end, err := s.End(nil)
		if err != nil {
			t.Fatal(err)
		}
		return append(records, end)
	}
	whole := make3()
	check := func(name string, records [][]byte, good int) {
		t.Helper()
		_, o := streams()
		var want string
		for _, text := range texts[:good] {
			want += text
		}
		all := bytes.Join(records, nil)
		got, _, err := openAll(o, all)
		if string(got) != want || (!errors.Is(err, ErrRecord) && !errors.Is(err, ErrShort)) {
			t.Fatalf("%s: %q came, %v", name, got, err)
		}
		if errors.Is(err, ErrRecord) {
			if _, _, again := o.Open(bytes.Clone(whole[good])); !errors.Is(again, ErrRecord) {
				t.Fatalf("%s: a record opened after the damaged one: %v", name, again)
			}
		}
	}
	for i := range whole {
		for bit := range 8 * len(whole[i]) {
			records := make3()
			records[i][bit/8] ^= 1 << (bit % 8)
			check(fmt.Sprintf("bit %d of record %d", bit, i), records, min(i, 3))
		}
	}
	check("dropped", [][]byte{whole[0], whole[2], whole[3]}, 1)
	check("repeated", [][]byte{whole[0], whole[0], whole[1], whole[2], whole[3]}, 1)
	check("swapped", [][]byte{whole[1], whole[0], whole[2], whole[3]}, 0)
	check("ended early", [][]byte{whole[0], whole[3]}, 1)
	check("cut", [][]byte{whole[0], whole[1], whole[2][:10]}, 2)
	check("without its end", whole[:3], 3)
	other := newSealer(keyOf(8))
	check("of another key", [][]byte{whole[0], seal(t, other, []byte("second record")), whole[2], whole[3]}, 1)
}

// TestRecordLength: a length that no record has is refused before anything is waited for.
func TestRecordLength(t *testing.T) {
	for _, length := range []uint32{MaxRecordBytes + 1, 1 << 24, 1<<32 - 1} {
		_, o := streams()
		if _, _, err := o.Open(binary.LittleEndian.AppendUint32(nil, length)); !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

// TestNewKeys lowers what keys are good for: both sides change them at the same record, any number
// of times, and the old ones open nothing more.
func TestNewKeys(t *testing.T) {
	for _, c := range []struct {
		bytes, records, sealed uint64
		secrets                int
	}{
		{100, 1 << 31, 10, 1}, {100, 1 << 31, 11, 2}, {100, 1 << 31, 100, 10}, {1 << 36, 3, 9, 3}, {1 << 36, 1, 5, 5}, {99, 4, 8, 2},
	} {
		s, o := streams()
		for _, d := range []*direction{&s.direction, &o.direction} {
			d.maxBytes, d.maxRecords = c.bytes, c.records
		}
		secrets := map[string]bool{}
		for i := range c.sealed {
			record := seal(t, s, bytes.Repeat([]byte{byte(i)}, 10))
			got, _, err := o.Open(record)
			if err != nil || len(got) != 10 || got[0] != byte(i) {
				t.Fatalf("%+v: record %d: %x, %v", c, i, got, err)
			}
			secrets[string(s.secret[:])] = true
		}
		if len(secrets) != c.secrets {
			t.Errorf("%+v: %d secrets", c, len(secrets))
		}
		if s.bytes > c.bytes || s.records > c.records {
			t.Errorf("%+v: %d bytes, %d records under the last keys", c, s.bytes, s.records)
		}
		end, err := s.End(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Open(end); !errors.Is(err, ErrEnd) {
			t.Errorf("%+v: the end: %v", c, err)
		}
	}
	s, o := streams()
	s.maxRecords = 2
	for i := range 3 {
		_, _, err := o.Open(seal(t, s, []byte("x")))
		if (err != nil) != (i == 2) {
			t.Errorf("record %d of a side that alone has changed its keys: %v", i, err)
		}
	}
}

// TestDroppedKeysAreRecreated: dropped keys are recreated identically, wherever the
// stream stands.
func TestDroppedKeysAreRecreated(t *testing.T) {
	s, o := streams()
	never, _ := streams()
	for i, n := range []int{0, 1, 14, 1, 16, 5, 4096, 31, MaxRecordBytes, 3} {
		plain := bytes.Repeat([]byte{byte(i)}, n)
		s.DropKeys()
		record := seal(t, s, plain)
		if !bytes.Equal(record, seal(t, never, plain)) {
			t.Fatalf("record %d of %d bytes is another one after a rest", i, n)
		}
		if i%2 == 0 {
			o.DropKeys()
		}
		if got, _, err := openAll(o, record); !errors.Is(err, ErrShort) || !bytes.Equal(got, plain) {
			t.Fatalf("record %d of %d bytes: %d came back, %v", i, n, len(got), err)
		}
	}
}

// TestAdvance: a counter that was advanced is where the cipher gets by itself.
func TestAdvance(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, cipherKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{"00000000000000000000000000000000", "0000000000000000fffffffffffffffe", "fffffffffffffffffffffffffffffffd"} {
		counter, err := hex.DecodeString(first)
		if err != nil {
			t.Fatal(err)
		}
		for blocks := range uint64(6) {
			whole := make([]byte, 8*aes.BlockSize)
			cipher.NewCTR(block, counter).XORKeyStream(whole, whole)
			later, rest := bytes.Clone(counter), make([]byte, 2*aes.BlockSize)
			advance(later, blocks)
			cipher.NewCTR(block, later).XORKeyStream(rest, rest)
			if !bytes.Equal(rest, whole[blocks*aes.BlockSize:][:len(rest)]) {
				t.Errorf("%s advanced by %d blocks: %x", first, blocks, later)
			}
		}
	}
}

// TestThresholds: the thresholds are those that PROTOCOL.md gives.
func TestThresholds(t *testing.T) {
	s, o := streams()
	for _, d := range []*direction{&s.direction, &o.direction} {
		if d.maxBytes != 64*1024*1024*1024 || d.maxRecords != 2147483648 {
			t.Errorf("%d bytes, %d records", d.maxBytes, d.maxRecords)
		}
	}
}

func TestRecordAllocations(t *testing.T) {
	s, o := streams()
	plain := make([]byte, 300)
	buffer := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		records, err := s.Seal(buffer, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Open(records); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// FuzzOpener: no bytes panic it or open, but those that the other side sealed.
func FuzzOpener(f *testing.F) {
	s, _ := streams()
	first := seal(f, s, []byte("first"))
	f.Add(first)
	f.Add(append(bytes.Clone(first), seal(f, s, []byte("second"))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, o := streams()
		want := append(seal(t, s, []byte("first")), seal(t, s, []byte("second"))...)
		in := bytes.Clone(b)
		for used := 0; ; {
			_, n, err := o.Open(in[used:])
			if err != nil {
				break
			}
			if used += n; used > len(want) || !bytes.Equal(b[:used], want[:used]) {
				t.Fatalf("%x was opened", b[:used])
			}
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{64, 4096, MaxRecordBytes} {
		s, o := streams()
		plain := make([]byte, n)
		buffer := make([]byte, 0, n+RecordOverhead)
		b.Run(fmt.Sprintf("seal/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(buffer, plain); err != nil {
					b.Fatal(err)
				}
			}
		})
		sealing := newSealer(keyOf(7))
		b.Run(fmt.Sprintf("seal+open/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				records, err := sealing.Seal(buffer, plain)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := o.Open(records); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
