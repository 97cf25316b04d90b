package persist

import (
	"encoding/binary"
	"errors"
	"math"
	"syscall"
	"time"
)

// What is acknowledged before it is written must have a place on the disk. So room is reserved
// behind the records of the segment, ahead of need:
//
//	Always              zeros are written, which the records overwrite: the sync need not make a new length durable. Replies wait for the sync.
//	EverySecond, Never  blocks are allocated, and the file's length stays. A reply waits for the sync if what was appended exceeds them (HasRoom).
//
// When no more can be reserved, the journal is full: Full says so, and changes are refused while
// there is still room for all that was acknowledged. It ends by itself when there is room again.
const (
	reserveBytes   = 1 << 20   // of zeros are written ahead of the records under Always
	leastRoomBytes = 1 << 20   // are allocated at least
	mostRoomBytes  = 256 << 20 // and at most
	roomRetry      = time.Second

	// LargeOperationBytes is the size above which an operation is announced before it draws its
	// numbers.
	LargeOperationBytes = 4 << 10

	// opDiskBytes is what an operation takes on the disk at most, beside its bytes: two lengths,
	// and a record for it alone.
	opDiskBytes = 2*binary.MaxVarintLen32 + recordHeaderBytes
	// endBytes are kept for a mark and the end of the segment.
	endBytes = 4 << 10
)

// room is what is reserved behind the records of the segment that is being written.
type room struct {
	end     int64 // the offset up to which room is reserved; at most the segment's size: there is none
	target  int64 // how much is to be reserved: what comes while one sync lasts
	unknown bool  // the file system cannot reserve
}

// HasRoom says whether all that was appended, and n bytes more, has room on the disk: what is
// acknowledged now cannot be lost for want of it. It does not block.
func (j *Journal) HasRoom(n int) bool { return j.appended.Load()+int64(n) <= j.assured.Load() }

// Announce says that an operation of n bytes may be appended, and with -n that it was, or will not
// be. It is for operations of more than LargeOperationBytes, before they draw their numbers: what
// others append behind them must have room too.
func (j *Journal) Announce(n int) { j.appended.Add(int64(n)) }

// Writable says whether changes can be written: the journal is neither broken nor full. It does not
// block.
func (j *Journal) Writable() bool { return !j.broken.Load() && !j.noRoom.Load() }

// Full returns why no more room can be reserved, nil if it can. Changes are to be refused
// meanwhile.
func (j *Journal) Full() error {
	if !j.noRoom.Load() {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.fullErr
}

// makeRoom reserves what is missing behind the last record.
func (j *Journal) makeRoom() error {
	f := &j.flusher
	f.room.target = min(
		max(f.room.target, leastRoomBytes, 4*j.opt.InFlightBytes, f.unsynced, 4*j.Pending()),
		mostRoomBytes,
	)
	err := j.reserve()
	left := max(f.room.end-f.seg.size, 0) - endBytes - j.opt.InFlightBytes
	if f.room.unknown {
		left = math.MaxInt64 / 2
	}
	j.assured.Store(j.taken.Load() + left)
	if err != nil && !isFull(err) {
		return err
	}
	j.setFull(err)
	return nil
}

// reserve is makeRoom, but for what others are told. Errors: isFull finds that there is no room.
func (j *Journal) reserve() error {
	f := &j.flusher
	if j.opt.Policy == Always {
		return j.reserveZeros()
	}
	if f.room.unknown || f.room.end-f.seg.size >= f.room.target/2 {
		return nil
	}
	end, err := allocate(f.file, max(f.room.end, f.seg.size), f.seg.size, f.room.target, leastRoomBytes)
	f.room.end = max(f.room.end, end)
	f.room.unknown = errors.Is(err, errors.ErrUnsupported)
	if f.room.unknown {
		return nil
	}
	return err
}

// reserveZeros writes zeros behind the last record, if there are none.
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

// allocateFirst is reserve for a segment that is being made: what had room in the one before must
// have it there.
func (j *Journal) allocateFirst(file File, size int64) (end int64, err error) {
	least := max(leastRoomBytes, j.assured.Load()-j.taken.Load()+j.opt.InFlightBytes+2*endBytes)
	if j.opt.Policy == Always || j.flusher.room.unknown {
		return size, nil
	}
	end, err = allocate(file, size, size, max(j.flusher.room.target, least), least)
	if errors.Is(err, errors.ErrUnsupported) {
		return size, nil
	}
	return end, err
}

// beyondRoom says whether an operation of n bytes may find no room behind what is to be written: it
// must not share a record with what does.
func (f *flusher) beyondRoom(n int) bool {
	return len(f.out) > 0 && !f.room.unknown && f.seg.size+int64(len(f.out)+opDiskBytes+n) > f.room.end-endBytes
}

// allocate allocates blocks from an offset on, so that there are n bytes behind size, or at least
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

// isFull says whether an error is that there is no room on the disk, or no more for this user.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// setFull notes whether room can be reserved, and tells of a change.
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
		// what was acknowledged meanwhile is written before clients learn that the disk is full
		signal(j.urgent)
	}
	if changed && j.opt.OnFull != nil {
		j.opt.OnFull(err)
	}
}
