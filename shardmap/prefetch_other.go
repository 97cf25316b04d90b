//go:build !amd64 && !arm64

package shardmap

import "unsafe"

// prefetch does nothing: on this processor lookups wait for each cache miss.
func prefetch(unsafe.Pointer) {}
