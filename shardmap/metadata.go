package shardmap

// A record may carry metadata between its keys and its value: a byte of flags, then a field for
// each flag in the order of the bits. flagMetadata in entry.size says that it does; other records
// pay nothing.
//
//	 0       1                7
//	+-------+----------------+
//	| flags | deadline       |    metaDeadline: milliseconds since 1970 UTC, little-endian
//	+-------+----------------+
const (
	metaDeadline = 1 << 0

	deadlineBytes = 6
	// MaxDeadline is the latest deadline of an entry, in milliseconds since 1970 UTC.
	MaxDeadline = 1<<(8*deadlineBytes) - 1
)

// metaBytes returns the size of the metadata of a record with a deadline; 0: none.
func metaBytes(deadline int64) int {
	if deadline == 0 {
		return 0
	}
	return 1 + deadlineBytes
}

// putMeta writes the metadata of a record with a deadline to dst, which has room for it, and
// returns its size and the flag for entry.size.
func putMeta(dst []byte, deadline int64) (n int, flag uint16) {
	if deadline == 0 {
		return 0, 0
	}
	dst[0] = metaDeadline
	for i := range deadlineBytes {
		dst[1+i] = byte(deadline >> (8 * i))
	}
	return 1 + deadlineBytes, flagMetadata
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
	return deadline, rest
}
