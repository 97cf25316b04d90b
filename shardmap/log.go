package shardmap

// KeptRequestBytes is the size above which a Log may retain a request instead of copying it.
const KeptRequestBytes = 2 * InlineBytes

// Log records the LSNs that are assigned, so that the changes can be replayed. Every LSN that a
// call takes is appended once, under the locks of the change: the ranges in all logs of a store
// leave no gap.
type Log interface {
	// Append records that the LSNs lsn to lsn+n-1 belong to request, which is Call.Request, and
	// that the change was made at Call.Time. LSNs that belong to no change have no request.
	//
	// It is called under the locks of a table, before the change is made; the change can no longer
	// fail. It must be short and must not call the store. LSNs ascend, and calls do not overlap,
	// for a Log that only one goroutine's calls use at a time.
	//
	// A request is appended at most once, and its change is made then, so Append may also change
	// the bytes before its arguments. Append copies request unless it is longer than
	// KeptRequestBytes; a longer one may be retained, so the caller must not modify it afterwards.
	Append(lsn, n uint64, time int64, request []byte)
}
