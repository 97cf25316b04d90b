package shardmap

// KeptRequestBytes is the size above which a Log may keep a request without copying it.
const KeptRequestBytes = 2 * InlineBytes

// Log takes down what is drawn from the clock, so that it can be made again. Every number that a
// call draws is appended once, under the locks that the number was drawn under: the ranges of all
// logs of a store together leave no gap.
type Log interface {
	// Append takes down that the numbers lsn to lsn+n-1 were drawn for request, the call's
	// Call.Request; for a cut, n is 1 and request nil.
	//
	// It is called under locks of a table, by one goroutine at a time if the Log is that of calls
	// of one at a time, with numbers that rise: it must be short and not call the store. The change
	// is not made yet then, but nothing can prevent it any more. Append copies request, but one of
	// more than KeptRequestBytes may be kept as it is: whoever sets it does not write to it again.
	Append(lsn, n uint64, request []byte)
}
