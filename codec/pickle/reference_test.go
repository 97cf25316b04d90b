package pickle_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/pickle"
	"cyberdb-fast/codec/value"
)

var (
	oracleSeed  = flag.Int64("oracle.seed", 0, "seed of the values that CPython pickles; 0: a new one each run")
	oracleCount = flag.Int("oracle.count", 3000, "how many values CPython pickles")
)

// TestAgainstCPython: what CPython pickles, in any protocol and by either of its picklers, is read
// as the value it stands for; and CPython reads what is made here as that value.
func TestAgainstCPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("CPython is the oracle here, and python3 is missing: make test installs it")
	}
	seed := *oracleSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("-oracle.seed=%d -oracle.count=%d", seed, *oracleCount)
	cmd := exec.Command(python, "-B", "testdata/oracle.py", strconv.FormatInt(seed, 10), strconv.Itoa(*oracleCount))
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	answers, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	questions, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var made bytes.Buffer
	lines, n := bufio.NewScanner(questions), 0
	for lines.Buffer(nil, 64<<20); lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		in, want, repr := unhex(t, fields[1]), unhex(t, fields[2]), string(unhex(t, fields[3]))
		got, err := load(in)
		if err != nil || !sameValue(got, want) {
			t.Errorf("protocol %s, %x: %s is %x, %v; want %x", fields[0], in, repr, got, err, want)
			continue
		}
		back, err := pickle.AppendPickle(nil, got)
		if err != nil {
			t.Errorf("%s: %v", repr, err)
			continue
		}
		fmt.Fprintf(&made, "%s\t%s\n", hex.EncodeToString(back), hex.EncodeToString(got))
	}
	if lines.Err() != nil || n != *oracleCount {
		t.Fatalf("%d values, %v\n%s", n, lines.Err(), &wrong)
	}
	if _, err := answers.Write(made.Bytes()); err != nil {
		t.Fatal(err)
	}
	answers.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &wrong)
	}
}

// sameValue compares encodings; sets may be in another order.
func sameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	textA, errA := value.Repr(a)
	textB, errB := value.Repr(b)
	return errA == nil && errB == nil && value.Equal(a, b) && len(textA) == len(textB)
}
