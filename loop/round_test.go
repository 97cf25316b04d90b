package loop

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/codec/secure"
)

// TestRepliesOfARound: where many connections are busy at once, replies wait for the end of the loop's round. Each client gets all of its own, in order,
// those too that shut down their side right behind their requests.
func TestRepliesOfARound(t *testing.T) {
	const clients, rounds, pipeline = 40, 25, 8
	srv := startServer(t, func(cfg *Config) { cfg.EventLoops = 1 })
	admin := dial(t, srv)
	admin.ok(codec.OpCreateDict, "t", true)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for g := range clients {
		w := dial(t, srv)
		wg.Go(func() {
			<-start
			for r := range rounds {
				var out []byte
				for p := range pipeline {
					out = codec.AppendRequest(out, &codec.Request{
						ID: uint32(1000*r + p + 1), Op: codec.OpDictSetDefault,
						Args: encodeArgs(t, "t", fmt.Sprint(g, r, p), 1000*g+p),
					})
				}
				if _, err := w.conn.Write(out); err != nil {
					t.Error(err)
					return
				}
				if last := r == rounds-1; last {
					_ = w.conn.(interface{ CloseWrite() error }).CloseWrite()
				}
				for p := range pipeline {
					reply, err := w.reply()
					if want := string(encodeArgs(t, 1000*g+p)); err != nil || reply.ID != uint32(1000*r+p+1) || string(reply.Body) != want {
						t.Errorf("client %d, round %d, request %d: got reply %d, %x, %v", g, r, p, reply.ID, reply.Body, err)
						return
					}
				}
			}
			if err := w.read(); !errors.Is(err, io.EOF) && !errors.Is(err, secure.ErrCut) {
				t.Errorf("client %d: after the last reply: %v", g, err)
			}
		})
	}
	close(start)
	wg.Wait()
}
