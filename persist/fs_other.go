//go:build !linux

package persist

import "errors"

// Allocate is not supported.
func (osFile) Allocate(int64, int64) error { return errors.ErrUnsupported }
