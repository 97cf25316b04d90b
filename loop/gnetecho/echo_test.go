package gnetecho

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

func TestServeGivesBackWhatItGets(t *testing.T) {
	const seed, connections, size = 7, 20, 300_000
	t.Logf("seed %d", seed)
	for _, loops := range []int{1, 3} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		address, served := make(chan string, 1), make(chan error, 1)
		go func() { served <- Serve(ctx, loops, func(at string) { address <- at }) }()
		at := <-address
		var clients sync.WaitGroup
		for i := range connections {
			clients.Go(func() {
				sent := make([]byte, size)
				random := rand.NewChaCha8([32]byte{seed, byte(i)})
				_, _ = random.Read(sent)
				conn, err := net.Dial("tcp", at)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				go func() { _, _ = conn.Write(sent) }()
				got := make([]byte, size)
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d loops, connection %d: other bytes come back, %v", loops, i, err)
				}
			})
		}
		clients.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	if err := Serve(t.Context(), 0, func(string) {}); err == nil {
		t.Error("no event loops are taken for a server")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ended, 1, func(string) {}); err != nil {
		t.Errorf("a server that ends before it starts: %v", err)
	}
}
