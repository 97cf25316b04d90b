package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestManualPage: the manual page has every command, flag and variable, and groff finds no fault.
func TestManualPage(t *testing.T) {
	s := newServer(nil, os.Stdout, nil)
	root := newRoot(s, os.Stdout, os.Stderr)
	page := manualPage(root, s.flags)
	var want []string
	s.flags.VisitAll(func(flag *pflag.Flag) {
		want = append(want, "--"+flag.Name, variableOf(flag.Name))
	})
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			want = append(want, cmd.UseLine())
		}
	}
	for _, text := range want {
		if !strings.Contains(page, roffText.Replace(text)) {
			t.Errorf("the manual page does not have %s", text)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), groff, "-man", "-Tascii", "-ww", "-P-c")
	cmd.Stdin = strings.NewReader(page)
	var faults strings.Builder
	cmd.Stderr = &faults
	shown, err := cmd.Output()
	if err != nil || faults.Len() > 0 || !strings.Contains(string(shown), "CYBERDB_SLOW_REQUEST") {
		t.Errorf("groff: %v, %s in\n%s", err, &faults, shown)
	}
}
