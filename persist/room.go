package persist

import (
	"encoding/binary"
	"errors"
	"math"
	"syscall"
	"time"

	"cyberdb-fast/persist/sequence"
)

// Operations that are acknowledged before they are written must have disk space. So space is
// reserved ahead, after the records of the segment:
//
//	Always              zeros are written, which records overwrite: syncs keep the length
//	EverySecond, Never  blocks are allocated; a reply waits if they are used up (HasRoom)
//
// When no more can be reserved, the journal is full, and Full returns an error. Then the server
// refuses changes while there is still space for all acknowledged ones. This ends by itself when
// there is space again.
const (
	reserveBytes = 1 << 20   // of zeros that are written ahead under Always
	minRoomBytes = 1 << 20   // least bytes that are allocated
	maxRoomBytes = 256 << 20 // most bytes that are allocated
	roomRetry    = time.Second

	// LargeOperationBytes is the size above which an operation is announced before its LSNs are
	// assigned, by Announce: what other writers append after it must have space too.
	LargeOperationBytes = 4 << 10

	// opDiskBytes is the most that an operation takes on disk in addition to its bytes: its form,
	// LSNs, time and two lengths, and a record of its own.
	opDiskBytes = 4*binary.MaxVarintLen32 + binary.MaxVarintLen64 + recordHeaderBytes
	// endBytes are kept for a mark and the end of the segment.
	endBytes = 4 << 10
)

// What is appended is counted by Operation.Bytes: this does not compile if that may be less than an
// operation takes.
const _ = uint(sequence.OverheadBytes - opDiskBytes)

// room is the space reserved after the records of the current segment.
type room struct {
	end     int64 // the offset up to which space is reserved; at most the segment's size: none
	target  int64 // how much to reserve: what arrives during one sync
	unknown bool  // the file system cannot reserve
}

// HasRoom reports whether everything that was appended, and n bytes more, has disk space: what is
// acknowledged now cannot be lost to a full disk. It does not block.
func (j *Journal) HasRoom(n int) bool { return j.Appended()+int64(n) <= j.reserved.Load() }

// Writable reports whether changes can be written: the journal is neither broken nor full. It does
// not block.
func (j *Journal) Writable() bool { return j.Err() == nil && !j.noRoom.Load() }

// Full returns why no more space can be reserved, nil if it can. Refuse changes meanwhile.
func (j *Journal) Full() error {
	if !j.noRoom.Load() {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fullErr
}

// makeRoom reserves the space that is missing after the last record.
func (j *Journal) makeRoom() error {
	f := &j.flusher
	f.room.target = min(
		max(f.room.target, minRoomBytes, 4*j.opt.InFlightBytes, f.unsynced, 4*j.Pending()),
		maxRoomBytes,
	)
	err := j.reserve()
	left := max(f.room.end-f.seg.size, 0) - endBytes - j.opt.InFlightBytes
	if f.room.unknown {
		left = math.MaxInt64 / 2
	}
	j.reserved.Store(j.flushed.Load() + left)
	if err != nil && !isFull(err) {
		return err
	}
	j.setFull(err)
	return nil
}

// reserve is makeRoom without publishing the result. Errors: if isFull is true for the error, there
// is no space.
func (j *Journal) reserve() error {
	f := &j.flusher
	if j.opt.Policy == Always {
		return j.reserveZeros()
	}
	if f.room.unknown || f.room.end-f.seg.size >= f.room.target/2 {
		return nil
	}
	end, err := allocate(f.file, max(f.room.end, f.seg.size), f.seg.size, f.room.target, minRoomBytes)
	f.room.end = max(f.room.end, end)
	f.room.unknown = errors.Is(err, errors.ErrUnsupported)
	if f.room.unknown {
		return nil
	}
	return err
}

// reserveZeros writes zeros after the last record, if there are none.
func (j *Journal) reserveZeros() error {
	f := &j.flusher
	if f.seg.size < f.room.end || f.seg.size >= f.limit {
		return nil
	}
	end := min(f.seg.size+reserveBytes, f.limit)
	if err := f.file.Reserve(f.seg.size, end); err != nil {
		return err
	}
	f.room.end = end
	return nil
}

// allocateFirst is reserve for a new segment: what had space in the one before must have it there.
func (j *Journal) allocateFirst(file File, size int64) (end int64, err error) {
	least := max(minRoomBytes, j.reserved.Load()-j.flushed.Load()+j.opt.InFlightBytes+2*endBytes)
	if j.opt.Policy == Always || j.flusher.room.unknown {
		return size, nil
	}
	end, err = allocate(file, size, size, max(j.flusher.room.target, least), least)
	if errors.Is(err, errors.ErrUnsupported) {
		return size, nil
	}
	return end, err
}

// beyondRoom reports whether an operation of n bytes may not fit in the reserved space after what
// is about to be written. It must not share a record with operations that do.
func (f *flusher) beyondRoom(n int) bool {
	return len(f.out) > 0 && !f.room.unknown && f.seg.size+int64(len(f.out)+opDiskBytes+n) > f.room.end-endBytes
}

// allocate allocates blocks from an offset on, so that n bytes after size have space, or at least
// the least. It returns the new end.
func allocate(file File, from, size, n, least int64) (end int64, err error) {
	for _, room := range []int64{n, least} {
		if end = size + room; end <= from {
			break
		}
		if err = file.Allocate(from, end); err == nil {
			return end, nil
		}
		if !isFull(err) {
			break
		}
	}
	return from, err
}

// isFull reports whether an error means that the disk, or the user's quota, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// setFull records whether space can be reserved, and reports a change to OnFull.
func (j *Journal) setFull(err error) {
	if err == nil && !j.noRoom.Load() {
		return
	}
	j.mu.Lock()
	changed := (j.fullErr == nil) != (err == nil)
	j.fullErr = err
	j.noRoom.Store(err != nil)
	j.mu.Unlock()
	if changed && err != nil {
		// write what was acknowledged before clients learn that the disk is full
		j.Sequencer.Flush()
	}
	if changed && j.opt.OnFull != nil {
		j.opt.OnFull(err)
	}
}
