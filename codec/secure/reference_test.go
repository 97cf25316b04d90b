package secure

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestReference checks the vectors with an implementation of PROTOCOL.md that shares no code with
// this package: testdata/oracle.py.
func TestReference(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("the oracle takes AES from the openssl command, which is missing: make test installs it")
	}
	out, err := exec.Command("python3", "testdata/oracle.py", vectorsFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if checks, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || checks < 60 {
		t.Errorf("%s checks, %v", out, err)
	}
}
