package client_test

import (
	"bytes"
	"sync"
	"testing"

	"cyberdb-fast/client"
	"cyberdb-fast/loop/looptest"
)

// TestLargeAndSmallTogether mixes large and small requests on one connection. The writer goroutine
// finishes those that exceed the socket's buffer; callers write the small ones. Each value must
// come back complete. At the end the client is closed during writes.
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
