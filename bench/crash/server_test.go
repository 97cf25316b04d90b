package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestFaultIsSaid: a server that does not say that it has the fault is refused.
func TestFaultIsSaid(t *testing.T) {
	for _, tt := range []struct {
		fault, says string
		want        error
	}{
		{"", "", nil},
		{"ack", "fault: ack", nil},
		{"ack", "", errNoFault},
		{"ack", "fault: due", errNoFault},
	} {
		path := filepath.Join(t.TempDir(), "server")
		text := "#!/bin/sh\necho '" + tt.says + "'\necho 'listening 127.0.0.1:1'\nexec sleep 60\n"
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		srv, err := startServer(binary{path, tt.fault}, t.TempDir(), "no")
		if !errors.Is(err, tt.want) {
			t.Errorf("fault %q, said %q: %v, want %v", tt.fault, tt.says, err, tt.want)
		}
		if err == nil {
			srv.Kill()
		}
	}
}
