package persist

import "cyberdb-fast/persist/sequence"

// PanicError is a panic on a goroutine of this package. It breaks the journal, or ends the loading
// of a file.
type PanicError = sequence.PanicError
