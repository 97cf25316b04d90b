package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"
)

// On disk: do not change. FORMAT.md, "Journal".
//
//	segment  0       8   10    12     16            32       40          48     56     60    64
//	         | magic |ver|flags| zero | database id | number | first LSN | time | zero | CRC |
//	record   0     4             8        12           16    24       32
//	         | CRC | payload CRC | length | operations | LSN | synced | payload
//
// A record's CRC is over the database id, the segment's number and the bytes after it.
const (
	segmentOldest      = 1 // the first; its segments and operations have no time
	segmentVersion     = 2 // operations have an envelope: semantics, time, extensions
	segmentHeaderBytes = 64
	recordHeaderBytes  = 32

	segmentSuffix = ".log"
	damagedSuffix = ".damaged" // quarantined by --repair or after a crash
)

var segmentMagic = [8]byte{0x89, 'C', 'D', 'J', '\r', '\n', 0x1a, '\n'}

// segment is one file of the journal.
type segment struct {
	name    string
	version uint16
	id      ID
	number  uint64
	first   uint64 // LSN of the first operation that may be in it
	time    int64  // of the store when it was begun; 0 in version 1
	size    int64
	torn    bool // its header was never completed: it is empty
}

// segmentName returns the name of segment number n within its directory.
func segmentName(n uint64) string { return fmt.Sprintf("%06d%s", n, segmentSuffix) }

// segmentNumber is the inverse of segmentName; ok is false for other names.
func segmentNumber(name string) (n uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, found && err == nil && segmentName(n) == name
}

func (s *segment) appendHeader(dst []byte) []byte {
	at := len(dst) // of the next record
	dst = append(dst, segmentMagic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, segmentVersion)
	dst = append(dst, make([]byte, 6)...)
	dst = append(dst, s.id[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, s.number)
	dst = binary.LittleEndian.AppendUint64(dst, s.first)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.time))
	dst = append(dst, make([]byte, 4)...)
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
}

// openSegment reads a segment's header. A segment that was being created at a power cut is torn,
// not damaged.
//
// Errors: ErrForeign, ErrVersion, ErrDamaged. Each names the file.
func openSegment(fsys FS, name string, number uint64) (s segment, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s = segment{name: name, number: number}
	if s.size, err = f.Size(); err != nil {
		return s, err
	}
	b := make([]byte, min(s.size, segmentHeaderBytes))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	var version *VersionError
	what := s.parseHeader(b)
	switch {
	case what == nil:
		return s, nil
	case errors.As(what, &version):
		return s, what
	case s.size <= segmentHeaderBytes: // records follow only once the header is on disk
		s.torn = true
		return s, nil
	case errors.Is(what, ErrDamaged):
		return s, &DamageError{
			File:  name,
			Block: -1,
			What:  "the segment's header does not match its checksum or its name",
		}
	}
	return s, fmt.Errorf("%s: %w", name, what)
}

// parseHeader parses the header. Errors: ErrDamaged, ErrForeign, a VersionError.
func (s *segment) parseHeader(b []byte) error {
	le := binary.LittleEndian
	switch {
	case len(b) < segmentHeaderBytes, checksum(b[:60]) != le.Uint32(b[60:]):
		return ErrDamaged
	case [8]byte(b) != segmentMagic:
		return ErrForeign
	}
	s.version = le.Uint16(b[8:])
	used := 56 // the bytes after it are zero
	if s.version == 1 {
		used = 48
	}
	newer := VersionError{
		File: s.name, Kind: "journal segment",
		Version: s.version, Oldest: segmentOldest, Newest: segmentVersion,
	}
	switch flags := le.Uint16(b[10:]); {
	case s.version < segmentOldest || s.version > segmentVersion:
		return &newer
	case flags != 0:
		newer.What = fmt.Sprintf("unknown flags 0x%04x", flags)
		return &newer
	case !zero(b[12:16]) || !zero(b[used:60]):
		newer.What = "values in fields that must be zero"
		return &newer
	case le.Uint64(b[32:]) != s.number:
		return ErrDamaged
	}
	copy(s.id[:], b[16:])
	s.first = le.Uint64(b[40:])
	s.time = int64(le.Uint64(b[48:])) // zero in version 1
	return nil
}

// seed is the start value of the checksums of the segment's records: a record of another segment,
// or another database, does not match.
func (s *segment) seed() uint32 {
	b := append(make([]byte, 0, 24), s.id[:]...)
	return checksum(binary.LittleEndian.AppendUint64(b, s.number))
}

// recordHeader is the header of a record.
type recordHeader struct {
	sum    uint32 // CRC32C of the payload
	length uint32 // bytes of the payload
	ops    uint32 // 0: the record only has synced
	lsn    uint64 // the first LSN of its first operation
	synced uint64 // all operations up to this one were on disk when the record was written
}

// putRecordHeader writes the header of a record to the record's first bytes.
func putRecordHeader(dst []byte, seed uint32, h *recordHeader) {
	le := binary.LittleEndian
	le.PutUint32(dst[4:], h.sum)
	le.PutUint32(dst[8:], h.length)
	le.PutUint32(dst[12:], h.ops)
	le.PutUint64(dst[16:], h.lsn)
	le.PutUint64(dst[24:], h.synced)
	le.PutUint32(dst, crc32.Update(seed, castagnoli, dst[4:recordHeaderBytes]))
}

func parseRecordHeader(b []byte, seed uint32) (h recordHeader, ok bool) {
	le := binary.LittleEndian
	if len(b) < recordHeaderBytes || crc32.Update(seed, castagnoli, b[4:recordHeaderBytes]) != le.Uint32(b) {
		return h, false
	}
	return recordHeader{
		le.Uint32(b[4:]),
		le.Uint32(b[8:]),
		le.Uint32(b[12:]),
		le.Uint64(b[16:]),
		le.Uint64(b[24:]),
	}, true
}

// segmentReader reads the records of a segment in order.
type segmentReader struct {
	segment
	file File
	seed uint32
	at   int64 // of the next record
	next uint64
	buf  []byte // bytes of the file from offset from on
	from int64
}

func readSegment(fsys FS, s segment) (*segmentReader, error) {
	f, err := fsys.Open(s.name)
	if err != nil {
		return nil, err
	}
	return &segmentReader{segment: s, file: f, seed: s.seed(), at: segmentHeaderBytes, next: s.first}, nil
}

// readAhead is how much of a segment is read at a time.
const readAhead = 1 << 20

// bytes returns n bytes from an offset, fewer at the end of the segment. They are valid until the
// next call.
func (r *segmentReader) bytes(at int64, n int) ([]byte, error) {
	n = int(min(int64(n), r.size-at))
	if at < r.from || at+int64(n) > r.from+int64(len(r.buf)) {
		want := int(min(int64(max(n, readAhead)), r.size-at))
		if cap(r.buf) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.from = r.buf[:want], at
		if got, err := r.file.ReadAt(r.buf, at); got < want {
			r.buf = r.buf[:0]
			return nil, fmt.Errorf("%s at byte %d: %w", r.name, at+int64(got), orEOF(err))
		}
	}
	return r.buf[at-r.from:][:n], nil
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// record returns the next record; its payload is valid until the next call. If there is no readable
// record at r.at, what is not "": the segment ends there, or is torn or damaged. At the very end,
// what is endOfSegment.
func (r *segmentReader) record() (h recordHeader, payload []byte, what string, err error) {
	if r.at == r.size {
		return h, nil, endOfSegment, nil
	}
	head, err := r.bytes(r.at, recordHeaderBytes)
	if err != nil {
		return h, nil, "", err
	}
	h, ok := parseRecordHeader(head, r.seed)
	switch {
	case !ok && zero(head):
		what, err := r.zeros()
		return h, nil, what, err
	case !ok:
		return h, nil, "the record's header does not match its checksum", nil
	case h.lsn != r.next:
		return h, nil, fmt.Sprintf("a record with LSN %d instead of %d", h.lsn, r.next), nil
	case int64(h.length) > r.size-r.at-recordHeaderBytes:
		return h, nil, "the segment ends inside the record", nil
	}
	if payload, err = r.bytes(r.at+recordHeaderBytes, int(h.length)); err != nil {
		return h, nil, "", err
	}
	if checksum(payload) != h.sum {
		return h, nil, "the record does not match its checksum", nil
	}
	ops := r.operations(payload, &h)
	next, ok := ops.check(h.ops)
	if !ok {
		return h, nil, unparsable, nil
	}
	r.at += recordHeaderBytes + int64(h.length)
	r.next = next
	return h, payload, "", nil
}

const (
	endOfSegment = "end"
	endInZeros   = "only zeros up to the end"
	unparsable   = "the record's operations cannot be parsed" // it matches its checksum, so it is not torn
)

// zeros says what the zeros at r.at are: the rest of the segment, or a hole.
func (r *segmentReader) zeros() (what string, err error) {
	for at := r.at; at < r.size; at += readAhead {
		b, err := r.bytes(at, readAhead)
		if err != nil {
			return "", err
		}
		if !zero(b) {
			return "zeros instead of a record", nil
		}
	}
	return endInZeros, nil
}

// operations parses the operations of a record.
func (r *segmentReader) operations(payload []byte, h *recordHeader) operations {
	return operations{parser: parser{b: payload}, version: r.version, lsn: h.lsn, time: r.time}
}

// rest is what is recognizable after the last readable record of a segment.
type rest struct {
	// synced is true if a later record proves that the missing operation was once on disk: it is
	// damaged, not torn.
	synced bool
	// operations are those in records with intact headers; at least 1 if a later record shows that
	// one is missing.
	operations int
}

// rest looks for record headers at every offset from r.at on.
func (r *segmentReader) rest() (found rest, err error) {
	missing := false
	for at := r.at; at+recordHeaderBytes <= r.size; at++ {
		head, err := r.bytes(at, recordHeaderBytes)
		if err != nil {
			return found, err
		}
		h, ok := parseRecordHeader(head, r.seed)
		if !ok {
			continue
		}
		found.synced = found.synced || at > r.at && h.synced >= r.next
		found.operations += int(h.ops)
		missing = missing || h.lsn > r.next
		at += recordHeaderBytes - 1
	}
	if found.operations == 0 && missing {
		found.operations = 1
	}
	return found, nil
}

func joinName(dir, name string) string { return filepath.Join(dir, name) }
