package secure

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/bits"
	"slices"
)

// A record, on the wire: do not change.
//
//	0        4                  4 + length
//	+--------+------------------+--------+
//	| length |    ciphertext    | tag 16 |
//	+--------+------------------+--------+
//
// length is little-endian, 1 to MaxRecordBytes, or 0 at the end of the stream. The tag is
// HMAC-SHA-256 over sequence u64, length and ciphertext, cut to 16 bytes; the sequence counts the
// direction's records from 0. The ciphertext is the direction's one AES-256-CTR stream, continuing
// from record to record.
const (
	// MaxRecordBytes is the most plain bytes in one record.
	MaxRecordBytes = 64 << 10
	// RecordOverhead is the number of bytes that a record adds.
	RecordOverhead = lengthBytes + recordTagBytes

	lengthBytes    = 4
	recordTagBytes = 16
	cipherKeyBytes = 32

	// The keys are changed before the record that would pass one of these.
	maxKeyBytes   = 64 << 30
	maxKeyRecords = 1 << 31
)

var (
	// ErrRecord is returned, wrapped, when a record is not the one that the other side sealed next.
	ErrRecord = errors.New("damaged record")
	// ErrEnd is returned when the other side has ended its stream; a stream that stops without it
	// was cut.
	ErrEnd = errors.New("end of stream")
)

// direction is one direction of an encrypted connection: a secret, the keys derived from it, and
// how much they have been used.
type direction struct {
	secret  [secretBytes]byte
	keys    *keys  // nil: there was no record yet, or none since DropKeys
	bytes   uint64 // encrypted under these keys
	records uint64 // made under these keys

	sequence uint64
	err      error // the first error; it is permanent

	maxBytes, maxRecords uint64
}

// keys is what seals and opens the records of a direction.
type keys struct {
	stream cipher.Stream
	mac    hash.Hash

	head [8 + lengthBytes]byte // what the tag covers before the ciphertext
	sum  [sha256.Size]byte
}

func newDirection(secret []byte) direction {
	return direction{secret: [secretBytes]byte(secret), maxBytes: maxKeyBytes, maxRecords: maxKeyRecords}
}

// deriveKeys derives cipher and MAC from the secret, and takes the cipher to where its stream
// stands. Source: RFC 5869 for the keys, RFC 4344 for the counter, which begins at a derived value.
func (d *direction) deriveKeys() error {
	derived, err := hkdf.Expand(sha256.New, d.secret[:], labelKeys, cipherKeyBytes+aes.BlockSize+sha256.Size)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(derived[:cipherKeyBytes])
	if err != nil {
		return err
	}
	counter := derived[cipherKeyBytes : cipherKeyBytes+aes.BlockSize]
	advance(counter, d.bytes/aes.BlockSize)
	d.keys = &keys{
		stream: cipher.NewCTR(block, counter),
		mac:    hmac.New(sha256.New, derived[cipherKeyBytes+aes.BlockSize:]),
	}
	var used [aes.BlockSize]byte // of the block in which the last record ended
	part := used[:d.bytes%aes.BlockSize]
	d.keys.stream.XORKeyStream(part, part)
	return nil
}

// advance adds blocks to a counter of 128 bits, big-endian.
func advance(counter []byte, blocks uint64) {
	high, low := binary.BigEndian.Uint64(counter), binary.BigEndian.Uint64(counter[8:])
	low, carry := bits.Add64(low, blocks, 0)
	binary.BigEndian.PutUint64(counter, high+carry)
	binary.BigEndian.PutUint64(counter[8:], low)
}

// DropKeys drops the keys, which take about a kilobyte. They are derived again for the next record,
// in some microseconds.
func (d *direction) DropKeys() { d.keys = nil }

// before counts a record of n bytes. Before that, it changes the keys if the record would exceed
// their limits, and derives them if there are none.
func (d *direction) before(n int) error {
	if d.bytes+uint64(n) > d.maxBytes || d.records+1 > d.maxRecords {
		next, err := hkdf.Expand(sha256.New, d.secret[:], labelNext, secretBytes)
		if err != nil {
			return err
		}
		d.secret, d.keys = [secretBytes]byte(next), nil
		d.bytes, d.records = 0, 0
	}
	if d.keys == nil {
		if err := d.deriveKeys(); err != nil {
			return err
		}
	}
	d.bytes += uint64(n)
	d.records++
	return nil
}

// tag returns the tag of the next record; it is valid until the next call.
func (d *direction) tag(length uint32, ciphertext []byte) []byte {
	k := d.keys
	binary.LittleEndian.PutUint64(k.head[:], d.sequence)
	binary.LittleEndian.PutUint32(k.head[8:], length)
	k.mac.Reset()
	k.mac.Write(k.head[:])
	k.mac.Write(ciphertext)
	d.sequence++
	return k.mac.Sum(k.sum[:0])[:recordTagBytes]
}

// Sealer writes the records of one direction.
type Sealer struct{ direction }

func newSealer(secret []byte) *Sealer { return &Sealer{newDirection(secret)} }

// Seal appends plain to dst in as many records as necessary; dst's capacity must not overlap plain.
//
// Errors: ErrEnd after End.
func (s *Sealer) Seal(dst, plain []byte) ([]byte, error) {
	for len(plain) > 0 {
		n := min(len(plain), MaxRecordBytes)
		var err error
		if dst, err = s.record(dst, plain[:n]); err != nil {
			return dst, err
		}
		plain = plain[n:]
	}
	return dst, s.err
}

// End appends the last record, which says that nothing follows.
func (s *Sealer) End(dst []byte) ([]byte, error) {
	dst, err := s.record(dst, nil)
	if err == nil {
		s.err = ErrEnd
	}
	return dst, err
}

func (s *Sealer) record(dst, plain []byte) ([]byte, error) {
	if s.err != nil {
		return dst, s.err
	}
	if s.err = s.before(len(plain)); s.err != nil {
		return dst, s.err
	}
	at := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(plain)))
	dst = slices.Grow(dst, len(plain)+recordTagBytes)
	ciphertext := dst[at+lengthBytes:][:len(plain)]
	s.keys.stream.XORKeyStream(ciphertext, plain)
	dst = dst[:at+lengthBytes+len(plain)]
	return append(dst, s.tag(uint32(len(plain)), ciphertext)...), nil
}

// Opener opens the records of one direction.
type Opener struct{ direction }

func newOpener(secret []byte) *Opener { return &Opener{newDirection(secret)} }

// Open takes one record from the front of b, of which it uses n bytes, and returns what the record
// carries: a view into b, decrypted in place.
//
// Errors: ErrShort if b ends inside the record; ErrEnd at the end of the stream; ErrRecord,
// wrapped, for a record that the other side did not send, or not as the next one. The last two
// errors are permanent.
func (o *Opener) Open(b []byte) (plain []byte, n int, err error) {
	switch {
	case o.err != nil:
		return nil, 0, o.err
	case len(b) < lengthBytes:
		return nil, 0, ErrShort
	}
	length := binary.LittleEndian.Uint32(b)
	if length > MaxRecordBytes {
		o.err = fmt.Errorf("%w: %d bytes, the limit is %d", ErrRecord, length, MaxRecordBytes)
		return nil, 0, o.err
	}
	n = RecordOverhead + int(length)
	if len(b) < n {
		return nil, 0, ErrShort
	}
	if o.err = o.before(int(length)); o.err != nil {
		return nil, 0, o.err
	}
	body, tag := b[lengthBytes:n-recordTagBytes], b[n-recordTagBytes:n]
	if subtle.ConstantTimeCompare(tag, o.tag(length, body)) != 1 {
		o.err = fmt.Errorf("%w: its tag is wrong", ErrRecord)
		return nil, 0, o.err
	}
	if length == 0 {
		o.err = ErrEnd
		return nil, n, ErrEnd
	}
	o.keys.stream.XORKeyStream(body, body)
	return body, n, nil
}
