package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
)

// On disk: do not change. FORMAT.md, "Reserved numbers".
//
//	file  slot at 0, the same slot at 4096, zeros between them and after them
//	slot  0       8  10     12     16            32      40      48      56     60    64
//	      | magic |ver|flags| zero | database id | limit | ended | inode | zero | CRC |
const (
	numbersVersion   = 1 // 1: the first
	numbersSlotBytes = 64
	numbersSlotEvery = 4096 // more than a disk writes at once: a power cut damages at most one slot
	numbersFileBytes = 2 * numbersSlotEvery

	maxLSN = 1<<48 - 1 // versions are kept in 48 bits
)

var numbersMagic = [8]byte{0x89, 'C', 'D', 'N', '\r', '\n', 0x1a, '\n'}

// errCopied is why a copied reservation does not count: a server on the original also assigns LSNs
// above its limit.
var errCopied = errors.New("the file is a copy")

// reservation is the content of the file: no LSN above limit was assigned.
type reservation struct {
	database ID
	limit    uint64
	// ended is the last operation of a server that shut down cleanly; 0: none has since the last
	// start.
	ended uint64
	inode uint64 // of the file that it was written to: a copy has another
	// problem is why the file does not count: errors.Is finds fs.ErrNotExist, ErrDamaged or
	// errCopied; nil: it counts.
	problem error
	// torn: a power cut has damaged a slot, or left the one before in it. The file is replaced,
	// because the next write in place might damage the other slot.
	torn bool
}

func (r *reservation) appendSlot(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, numbersMagic[:]...)
	dst = binary.LittleEndian.AppendUint16(dst, numbersVersion)
	dst = append(dst, make([]byte, 6)...)
	dst = append(dst, r.database[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, r.limit)
	dst = binary.LittleEndian.AppendUint64(dst, r.ended)
	dst = binary.LittleEndian.AppendUint64(dst, r.inode)
	dst = append(dst, make([]byte, 4)...)
	dst = binary.LittleEndian.AppendUint32(dst, checksum(dst[at:]))
	return append(dst, make([]byte, numbersSlotEvery-numbersSlotBytes)...)
}

// parseSlot parses one slot. Errors: ErrDamaged, ErrForeign, ErrVersion.
func parseSlot(b []byte) (r reservation, err error) {
	switch {
	case checksum(b[:60]) != binary.LittleEndian.Uint32(b[60:]):
		return r, ErrDamaged
	case [8]byte(b) != numbersMagic:
		return r, ErrForeign
	case binary.LittleEndian.Uint16(b[8:]) != numbersVersion || !zero(b[10:16]) || !zero(b[56:60]):
		return r, ErrVersion
	}
	copy(r.database[:], b[16:])
	r.limit = binary.LittleEndian.Uint64(b[32:])
	r.ended = binary.LittleEndian.Uint64(b[40:])
	r.inode = binary.LittleEndian.Uint64(b[48:])
	if r.limit > maxLSN {
		return r, ErrDamaged
	}
	return r, nil
}

// readReservation returns the slot with the higher limit. If the file is missing, damaged or a
// copy, the reservation has a problem.
//
// Errors: ErrForeign, ErrVersion; those of the file system. Each names the file.
func readReservation(fsys FS, name string) (r reservation, err error) {
	b, err := readSlots(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return reservation{problem: err}, nil
	}
	if err != nil {
		return r, err
	}
	var slots []reservation
	for ; len(b) >= numbersSlotBytes; b = b[min(len(b), numbersSlotEvery):] {
		slot, err := parseSlot(b)
		switch {
		case err == nil:
			slots = append(slots, slot)
		case !errors.Is(err, ErrDamaged):
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	for i, slot := range slots {
		if i == 0 || slot.limit > r.limit {
			r = slot
		}
	}
	r.torn = len(slots) != 2 || slots[0] != slots[1]
	if len(slots) == 0 {
		r.problem = &DamageError{File: name, Block: -1, What: "neither of the two slots matches its checksum"}
		return r, nil
	}
	id, _, err := fsys.Identify(name)
	if err == nil && id.Inode != r.inode {
		r.problem = fmt.Errorf("%s: %w", name, errCopied)
	}
	return r, err
}

// readSlots returns the first bytes of the file, as many as it should have.
func readSlots(fsys FS, name string) (b []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b = make([]byte, min(size, numbersFileBytes))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: %w", name, orEOF(err))
	}
	return b, nil
}

// createReservation creates the file, or replaces one that does not count. When it returns nil, the
// file is on disk.
func createReservation(fsys FS, name string, r *reservation) error {
	part := name + partSuffix
	if err := fsys.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a crash
		return err
	}
	f, err := fsys.Create(part)
	if err != nil {
		return err
	}
	slot, err := slotIn(fsys, part, r)
	if err == nil {
		_, err = f.Write(append(slot, slot...))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = fsys.Rename(part, name)
	}
	if err != nil {
		_ = fsys.Remove(part) // the reason for the failure matters more
		return err
	}
	return fsys.SyncDir(dirOf(name))
}

// slotIn returns a slot for a file.
func slotIn(fsys FS, name string, r *reservation) ([]byte, error) {
	id, _, err := fsys.Identify(name)
	r.inode = id.Inode
	return r.appendSlot(nil), err
}

// overwriteReservation writes both slots in place, one after the other, so that one is always
// intact if both were. It needs no disk space.
func overwriteReservation(fsys FS, name string, r *reservation) error {
	f, err := fsys.Edit(name)
	if err != nil {
		return err
	}
	slot, err := slotIn(fsys, name, r)
	for range 2 {
		if err == nil {
			_, err = f.Write(slot)
		}
		if err == nil {
			err = f.Sync()
		}
	}
	return errors.Join(err, f.Close())
}
