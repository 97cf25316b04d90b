package client_test

import (
	"bytes"
	"sync"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestLargeAndSmallTogether: on one connection, requests larger than the socket's buffer (the
// keeper writes their rest) and small ones (their callers write) take turns; each value comes back
// whole, and the client is closed while others are being written.
func TestLargeAndSmallTogether(t *testing.T) {
	s := startServer(t)
	ctx := t.Context()
	if err := s.Client(t, nil).CreateDict(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		one, err := client.Open(ctx, s.URL(), &client.Options{Password: looptest.Password, Conns: 1})
		if err != nil {
			t.Fatal(err)
		}
		d := client.DictOf[int, []byte](one, "t")
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				size := 100
				if g%4 == 0 {
					size = 12 << 20
				}
				want := bytes.Repeat([]byte{byte(g)}, size)
				for range 4 {
					if err := d.Set(ctx, g, want); err != nil {
						t.Errorf("set of %d bytes: %v", size, err)
						return
					}
				}
				if got, err := d.Get(ctx, g); err != nil || !bytes.Equal(got, want) {
					t.Errorf("get of %d bytes: %d bytes, %v", size, len(got), err)
				}
			})
		}
		wg.Wait()
		if err := one.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
