package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes of frames, in bytes. On the wire: do not change.
const (
	// HeaderBytes is the size of the fixed header of a request and of a reply.
	HeaderBytes = 10
	// MaxFrameBytes is the largest value of a frame's length field that a server accepts.
	MaxFrameBytes = 64 << 20
	// MaxReplyFrameBytes is the most body bytes of one reply frame; longer replies continue in
	// further frames (FlagMore).
	MaxReplyFrameBytes = 1 << 20
	// MaxTableNameBytes is the longest table name, in bytes of UTF-8.
	MaxTableNameBytes = 1024
	// MaxArguments is the most values that one request may carry.
	MaxArguments = 1 << 20

	lengthBytes   = 4
	payloadOffset = 8 // of the opcode: after length and id
	versionBytes  = 8
	deadlineBytes = 4
	ttlBytes      = 8
	sizeBytes     = 2 // of the extensions' length
	minFrameBytes = HeaderBytes - lengthBytes
)

// Absent is the byte that stands for "no value" where PROTOCOL.md allows it; MessagePack never uses
// it.
const Absent = 0xc1

// RequestFlags are the flags of a request. A server rejects flags that it does not know.
type RequestFlags uint8

// Flags of a request. The fields that belong to flags follow the header, in the order of the bits.
const (
	// u64: act only if the entry's version is this; 0: only if it is absent; AnyVersion: only if it
	// is present
	FlagIfVersion   RequestFlags = 1 << 0
	FlagWantVersion RequestFlags = 1 << 1 // the reply shall have the entry's version
	// u32: act only if execution begins within so many milliseconds of the frame's arrival; 0:
	// refuse it
	FlagDeadline   RequestFlags = 1 << 2
	FlagDurable    RequestFlags = 1 << 3 // the reply shall be sent once the change is on disk
	FlagTimeToLive RequestFlags = 1 << 4 // i64: the entry's time to live, in milliseconds; KeepTimeToLive; Persist
	// u16 length, then so many bytes of tagged fields (tag varuint | length varuint | bytes)*; see
	// ParseExtensions
	FlagExtensions RequestFlags = 1 << 5

	knownRequestFlags = FlagIfVersion | FlagWantVersion | FlagDeadline | FlagDurable | FlagTimeToLive | FlagExtensions
)

// AnyVersion in the field of FlagIfVersion stands for the version of every entry. On the wire: do
// not change.
const AnyVersion uint64 = 1<<64 - 1

// Times to live. On the wire: do not change.
const (
	KeepTimeToLive = -1 // what the entry has
	Persist        = 0  // for ever, whatever the table's default is
	// MaxTimeToLive is the longest one: 100 years, in milliseconds.
	MaxTimeToLive = 36525 * 24 * 3600 * 1000
)

// ReplyFlags are the flags of a reply.
type ReplyFlags uint8

// Flags of a reply. The field of FlagVersion follows the header.
const (
	FlagMore    ReplyFlags = 1 << 0 // the reply continues in a further frame with the same id
	FlagVersion ReplyFlags = 1 << 1 // u64: the entry's version
)

// Errors of the parsers.
var (
	// ErrShort is returned when the input ends inside a frame: read more and try again.
	ErrShort = errors.New("frame not complete")
	// ErrFrame is returned, wrapped, when the length field is invalid. Close the connection.
	ErrFrame = errors.New("bad frame")
)

// Request is one request frame. Args, Payload and Extensions are views into the
// input.
type Request struct {
	ID        uint32
	Deadline  uint32 // milliseconds, valid if Flags has FlagDeadline
	Op        Opcode
	Flags     RequestFlags
	IfVersion uint64 // valid if Flags has FlagIfVersion; 0: the entry is absent; or AnyVersion
	TTL       int64  // milliseconds, valid if Flags has FlagTimeToLive
	Args      []byte // the encoded arguments, table name first, back to back
	Payload   []byte // the frame without length and id, which defines the request; set by the parsers
	// Extensions has the tagged fields, valid if Flags has FlagExtensions; at most 65,535 bytes.
	Extensions []byte
}

// ParseRequest reads one request from the front of b; n is the number of bytes used.
//
// Shape: length u32 | id u32 | opcode u8 | flags u8 | fields by flag | arguments, little-endian.
// Nothing is copied or allocated. Errors: ErrShort if b ends inside the frame (n is 0); ErrFrame if
// the length is below a header's or above MaxFrameBytes, or the fields do not fit (close the
// connection); an *Error with StatusUnsupported for an unknown flag or extension, or with
// StatusBadArguments for extensions that cannot be parsed: n and ID are valid, and the connection
// may continue. Source: PROTOCOL.md, "Request frame".
func ParseRequest(b []byte) (req Request, n int, err error) {
	if len(b) < lengthBytes {
		return req, 0, ErrShort
	}
	length := binary.LittleEndian.Uint32(b)
	if length < minFrameBytes || length > MaxFrameBytes {
		return req, 0, fmt.Errorf("%w: length %d is outside %d to %d", ErrFrame, length, minFrameBytes, MaxFrameBytes)
	}
	n = lengthBytes + int(length)
	if len(b) < n {
		return req, 0, ErrShort
	}
	req.ID = binary.LittleEndian.Uint32(b[4:])
	err = req.parsePayload(b[payloadOffset:n:n])
	return req, n, err
}

// WholeFrames reports whether b ends at the end of a frame, according to the lengths of the frames,
// and returns the flags of all frames together.
func WholeFrames(b []byte) (flags RequestFlags, whole bool) {
	for len(b) >= HeaderBytes {
		n := lengthBytes + uint64(binary.LittleEndian.Uint32(b))
		flags |= RequestFlags(b[HeaderBytes-1])
		if n > uint64(len(b)) {
			return flags, false
		}
		b = b[n:]
	}
	return flags, len(b) == 0
}

// ParsePayload parses a request without length and id, which is Request.Payload. The request's ID
// is 0. Errors: as ParseRequest.
func ParsePayload(payload []byte) (req Request, err error) {
	if len(payload) < HeaderBytes-payloadOffset {
		return req, fmt.Errorf("%w: a payload of %d bytes", ErrFrame, len(payload))
	}
	err = req.parsePayload(payload)
	return req, err
}

// HasDeadline reports whether a payload has a deadline.
func HasDeadline(payload []byte) bool { return RequestFlags(payload[1])&FlagDeadline != 0 }

// DropDeadline returns a payload without its deadline, whose flag is set. It moves the fields
// before the deadline within the payload, which must not be used any more.
func DropDeadline(payload []byte) []byte {
	before := HeaderBytes - payloadOffset
	if RequestFlags(payload[1])&FlagIfVersion != 0 {
		before += versionBytes
	}
	rest := payload[deadlineBytes:]
	copy(rest, payload[:before])
	rest[1] &^= byte(FlagDeadline)
	return rest
}

// Clone returns a copy of the request that shares no bytes with the frame it was read from.
func (req *Request) Clone() Request {
	own := *req
	own.Payload = append([]byte(nil), req.Payload...)
	args := len(own.Payload) - len(req.Args)
	own.Args = own.Payload[args:]
	own.Extensions = own.Payload[args-len(req.Extensions) : args]
	return own
}

// FrameBytes returns the size of the request's frame.
func (req *Request) FrameBytes() int { return payloadOffset + len(req.Payload) }

// parsePayload takes opcode, flags, fields and arguments from a payload that has at least opcode
// and flags.
func (req *Request) parsePayload(payload []byte) error {
	req.Payload = payload
	req.Op = Opcode(payload[0])
	req.Flags = RequestFlags(payload[1])
	req.Args = payload[HeaderBytes-payloadOffset:]
	if req.Flags != 0 {
		return req.parseFields()
	}
	return nil
}

// parseFields takes the optional fields from the front of Args.
func (req *Request) parseFields() error {
	if unknown := req.Flags &^ knownRequestFlags; unknown != 0 {
		return &Error{
			Status:  StatusUnsupported,
			Message: fmt.Sprintf("request flags 0x%02x are not supported by this server", uint8(unknown)),
		}
	}
	if req.Flags&FlagIfVersion != 0 {
		if len(req.Args) < versionBytes {
			return fmt.Errorf("%w: the frame ends before its version field", ErrFrame)
		}
		req.IfVersion = binary.LittleEndian.Uint64(req.Args)
		req.Args = req.Args[versionBytes:]
	}
	if req.Flags&FlagDeadline != 0 {
		if len(req.Args) < deadlineBytes {
			return fmt.Errorf("%w: the frame ends before its deadline field", ErrFrame)
		}
		req.Deadline = binary.LittleEndian.Uint32(req.Args)
		req.Args = req.Args[deadlineBytes:]
	}
	if req.Flags&FlagTimeToLive != 0 {
		if len(req.Args) < ttlBytes {
			return fmt.Errorf("%w: the frame ends before its time to live", ErrFrame)
		}
		req.TTL = int64(binary.LittleEndian.Uint64(req.Args))
		req.Args = req.Args[ttlBytes:]
	}
	if req.Flags&FlagExtensions != 0 {
		return req.takeExtensions()
	}
	return nil
}

// takeExtensions takes the tagged fields from the front of Args.
func (req *Request) takeExtensions() error {
	if len(req.Args) < sizeBytes {
		return fmt.Errorf("%w: the frame ends before its extensions", ErrFrame)
	}
	n := int(binary.LittleEndian.Uint16(req.Args))
	if req.Args = req.Args[sizeBytes:]; n > len(req.Args) {
		return fmt.Errorf("%w: the frame ends within its extensions", ErrFrame)
	}
	req.Extensions, req.Args = req.Args[:n:n], req.Args[n:]
	var fences [2]Fence
	_, err := ParseExtensions(fences[:0], req.Extensions)
	return err
}

// AppendRequest appends a request frame with the arguments in req.Args. The frame must not exceed
// MaxFrameBytes.
func AppendRequest(dst []byte, req *Request) []byte {
	dst, at := BeginRequest(dst, req)
	dst = append(dst, req.Args...)
	EndFrame(dst, at)
	return dst
}

// BeginRequest appends the header of a request and its fields, without Args. The caller appends the
// arguments and calls EndFrame with at, which is where the frame begins in dst.
func BeginRequest(dst []byte, req *Request) (out []byte, at int) {
	at = len(dst)
	dst = append(
		dst,
		0,
		0,
		0,
		0,
		byte(req.ID),
		byte(req.ID>>8),
		byte(req.ID>>16),
		byte(req.ID>>24),
		byte(req.Op),
		byte(req.Flags),
	)
	if req.Flags&FlagIfVersion != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, req.IfVersion)
	}
	if req.Flags&FlagDeadline != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, req.Deadline)
	}
	if req.Flags&FlagTimeToLive != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(req.TTL))
	}
	if req.Flags&FlagExtensions != 0 {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(req.Extensions)))
		dst = append(dst, req.Extensions...)
	}
	return dst, at
}

// EndFrame writes the length of the frame that begins at dst[at] and ends with dst.
func EndFrame(dst []byte, at int) {
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-lengthBytes))
}

// Reply is one reply frame. Body is a view into the input.
type Reply struct {
	ID      uint32
	Status  Status
	Flags   ReplyFlags
	Version uint64 // valid if Flags has FlagVersion
	Body    []byte
}

// ParseReply reads one reply from the front of b; n is the number of bytes used.
//
// Shape: length u32 | id u32 | status u8 | flags u8 | version u64 by flag | body, little-endian.
// Nothing is copied or allocated. Errors: ErrShort if b ends inside the frame (n is 0); ErrFrame if
// the length cannot be right. Source: PROTOCOL.md, "Reply frame".
func ParseReply(b []byte) (reply Reply, n int, err error) {
	if len(b) < lengthBytes {
		return reply, 0, ErrShort
	}
	length := binary.LittleEndian.Uint32(b)
	if length < minFrameBytes || length > MaxFrameBytes {
		return reply, 0, fmt.Errorf("%w: length %d is outside %d to %d", ErrFrame, length, minFrameBytes, MaxFrameBytes)
	}
	n = lengthBytes + int(length)
	if len(b) < n {
		return reply, 0, ErrShort
	}
	reply.ID = binary.LittleEndian.Uint32(b[4:])
	reply.Status = Status(b[8])
	reply.Flags = ReplyFlags(b[9])
	reply.Body = b[HeaderBytes:n:n]
	if reply.Flags&FlagVersion != 0 {
		if len(reply.Body) < versionBytes {
			return reply, 0, fmt.Errorf("%w: the frame ends before its version field", ErrFrame)
		}
		reply.Version = binary.LittleEndian.Uint64(reply.Body)
		reply.Body = reply.Body[versionBytes:]
	}
	return reply, n, nil
}

// BeginReply appends the header of a reply. The caller appends the body and calls EndFrame with at,
// which is where the frame begins in dst.
func BeginReply(dst []byte, id uint32, status Status) (out []byte, at int) {
	at = len(dst)
	dst = append(dst, 0, 0, 0, 0, byte(id), byte(id>>8), byte(id>>16), byte(id>>24), byte(status), 0)
	return dst, at
}

// SetVersion inserts the entry's version into the reply that begins at dst[at], between its header
// and its body.
func SetVersion(dst []byte, at int, version uint64) []byte {
	dst[at+HeaderBytes-1] |= byte(FlagVersion)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	body := at + HeaderBytes
	copy(dst[body+versionBytes:], dst[body:len(dst)-versionBytes])
	binary.LittleEndian.PutUint64(dst[body:], version)
	return dst
}

// SetMore marks the reply that begins at dst[at] as one that continues in a further frame.
func SetMore(dst []byte, at int) { dst[at+HeaderBytes-1] |= byte(FlagMore) }

// AppendReply appends a complete reply frame.
func AppendReply(dst []byte, reply *Reply) []byte {
	dst, at := BeginReply(dst, reply.ID, reply.Status)
	dst = append(dst, reply.Body...)
	if reply.Flags&FlagVersion != 0 {
		dst = SetVersion(dst, at, reply.Version)
	}
	dst[at+HeaderBytes-1] |= byte(reply.Flags)
	EndFrame(dst, at)
	return dst
}
