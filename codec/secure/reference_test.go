package secure

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestReference checks the vectors with an implementation of PROTOCOL.md that shares no code with
// this package: testdata/judge.py.
func TestReference(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("the judge takes AES from the openssl command, which is missing: make test installs it")
	}
	out, err := exec.Command("python3", "testdata/judge.py", vectorsFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if checks, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || checks < 60 {
		t.Errorf("%s checks, %v", out, err)
	}
}
