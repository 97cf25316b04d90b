//go:build amd64 || arm64

package shardmap

import "unsafe"

// prefetch starts to load the cache line at p and does not wait for it. p may be any address.
//
//go:noescape
func prefetch(p unsafe.Pointer)
