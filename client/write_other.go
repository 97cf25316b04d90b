//go:build !unix

package client

import "net"

// nonblockingWriter is not available on this system: the writer goroutine writes everything.
type nonblockingWriter struct{}

func newNonblockingWriter(net.Conn) *nonblockingWriter { return nil }

func (*nonblockingWriter) write([]byte) (int, error) { return 0, nil }
