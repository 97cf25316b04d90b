package sequence

import (
	"fmt"
	"runtime/debug"
)

// PanicError is a panic of a sink, or on a goroutine of the files.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("internal error: panic: %v", e.Value) }

// Guarded calls f and returns its panic, nil if there was none.
func Guarded(f func()) (panicked *PanicError) {
	defer func() {
		if p := recover(); p != nil {
			panicked = &PanicError{p, debug.Stack()}
		}
	}()
	f()
	return nil
}
