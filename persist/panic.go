package persist

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic on a goroutine of this package. It breaks the journal, or ends the loading
// of a file.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("internal error: panic: %v", e.Value) }

// guarded calls f and returns its panic, nil if there was none.
func guarded(f func()) (panicked *PanicError) {
	defer func() {
		if p := recover(); p != nil {
			panicked = &PanicError{p, debug.Stack()}
		}
	}()
	f()
	return nil
}
