package shardmap

// A record may carry metadata between its keys and its value: a byte of flags, then a field for
// each flag in the order of the bits. flagMetadata in entry.size says that it does; other records
// pay nothing.
//
//	 0       1                7
//	+-------+----------------+
//	| flags | deadline       |    metaDeadline: milliseconds since 1970 UTC, little-endian
//	+-------+----------------+    metaForever: the entry never expires
const (
	metaDeadline = 1 << 0
	metaForever  = 1 << 1

	deadlineBytes = 6
	// MaxDeadline is the latest deadline of an entry, in milliseconds since 1970 UTC.
	MaxDeadline = 1<<(8*deadlineBytes) - 1
	// Forever is the deadline of an entry that never expires, whatever its table's default is.
	Forever = -1
)

// metaBytes returns the size of the metadata of a record with a deadline; 0: none.
func metaBytes(deadline int64) int {
	switch deadline {
	case 0:
		return 0
	case Forever:
		return 1
	}
	return 1 + deadlineBytes
}

// putMeta writes the metadata of a record with a deadline to dst, which has room for it, and
// returns its size and the flag for entry.size.
func putMeta(dst []byte, deadline int64) (n int, flag uint16) {
	switch deadline {
	case 0:
		return 0, 0
	case Forever:
		dst[0] = metaForever
		return 1, flagMetadata
	}
	dst[0] = metaDeadline
	for i := range deadlineBytes {
		dst[1+i] = byte(deadline >> (8 * i))
	}
	return 1 + deadlineBytes, flagMetadata
}

// fullMetaBytes is the size of metadata with room for every deadline.
const fullMetaBytes = 1 + deadlineBytes

// putFullMeta writes metadata of fullMetaBytes for a deadline that was not known when the record
// was laid out.
func putFullMeta(dst []byte, deadline int64) {
	clear(dst[:fullMetaBytes])
	dst[0] = metaDeadline
	if deadline == Forever {
		dst[0] |= metaForever
		return
	}
	putMeta(dst, max(deadline, 1))
	if deadline == 0 {
		dst[1] = 0
	}
}

// takeMeta takes metadata from the front of b.
func takeMeta(b []byte) (deadline int64, rest []byte) {
	flags, rest := b[0], b[1:]
	if flags&metaDeadline != 0 {
		for i := range deadlineBytes {
			deadline |= int64(rest[i]) << (8 * i)
		}
		rest = rest[deadlineBytes:]
	}
	if flags&metaForever != 0 {
		deadline = Forever
	}
	return deadline, rest
}
