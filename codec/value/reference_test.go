package value_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/codec/value"
)

var (
	oracleSeed  = flag.Int64("oracle.seed", 0, "seed of the values that CPython checks; 0: a new one each run")
	oracleCount = flag.Int("oracle.count", 1500, "how many groups of questions to put to CPython")
)

// TestAgainstCPython asks CPython about random values and compares: ==, <, hash, str, repr, sort
// keys, + and lower.
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
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	lines := bufio.NewScanner(out)
	for lines.Buffer(nil, 64<<20); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		asked[fields[0]]++
		compareAnswer(t, fields)
	}
	if err := cmd.Wait(); err != nil || lines.Err() != nil {
		t.Fatalf("%v %v\n%s", err, lines.Err(), &stderr)
	}
	for operation := range operations {
		if asked[operation] == 0 {
			t.Errorf("%s was never asked", operation)
		}
	}
}

func compareAnswer(t *testing.T, fields []string) {
	operation, answer := fields[0], fields[len(fields)-1]
	var args [][]byte
	for _, f := range fields[1 : len(fields)-1] {
		b, err := hex.DecodeString(f)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := value.Check(b); err != nil || n != len(b) || value.Size(b) != n {
			t.Errorf("Check(%s) = %d, %v", f, n, err)
			return
		}
		args = append(args, b)
	}
	if got := operations[operation](args); got != answer {
		var texts []string
		for _, b := range args {
			text, _ := value.Repr(b)
			texts = append(texts, text)
		}
		t.Errorf(
			"%s(%s): got %s, CPython says %s",
			operation,
			strings.Join(texts, ", "),
			readable(got),
			readable(answer),
		)
	}
}

// readable shows an answer's text, or its hex if it is none.
func readable(answer string) string {
	b, err := hex.DecodeString(answer[1:])
	if err != nil || len(b) == 0 {
		return answer
	}
	if n, err := value.Check(b); err == nil && n == len(b) {
		text, _ := value.Repr(b)
		return fmt.Sprintf("%s (%x)", text, b)
	}
	return fmt.Sprintf("%q", b)
}

var operations = map[string]func(args [][]byte) string{
	"eq": func(args [][]byte) string {
		equal := value.Equal(args[0], args[1])
		if value.Equal(args[1], args[0]) != equal || !keysAgree(args[0], args[1], equal) {
			return "inconsistent"
		}
		return truth(equal)
	},
	"less": func(args [][]byte) string {
		less, err := value.Less(args[0], args[1])
		if err != nil {
			return failure(err)
		}
		return truth(less)
	},
	"key": func(args [][]byte) string {
		key, _, err := value.Key(args[0], nil)
		switch {
		case err != nil:
			return failure(err)
		case value.Size(key) != len(key):
			return fmt.Sprintf("Size of the canonical form is wrong: %x", key)
		}
		return truth(true)
	},
	"str":  func(args [][]byte) string { return textOrFailure(value.Str(args[0])) },
	"repr": func(args [][]byte) string { return textOrFailure(value.Repr(args[0])) },
	"sort": func(args [][]byte) string {
		key, err := value.ParseSortKey(args[0])
		if err != nil {
			return err.Error()
		}
		return bytesOrFailure(key.Append(nil, args[1], spendFreely))
	},
	"add": func(args [][]byte) string {
		sum, err := value.Add(nil, args[0], args[1])
		if err != nil {
			return failure(err)
		}
		return textOrFailure(value.Repr(sum))
	},
	"lower": func(args [][]byte) string {
		text, _ := value.Str(args[0])
		return textOrFailure(value.Lower(text), nil)
	},
}

// keysAgree reports whether a and b, if both can be keys, have one canonical form exactly if they
// are equal.
func keysAgree(a, b []byte, equal bool) bool {
	keyA, unequalA, errA := value.Key(a, nil)
	keyB, unequalB, errB := value.Key(b, nil)
	if errA != nil || errB != nil {
		return true
	}
	return equal == (bytes.Equal(keyA, keyB) && !unequalA && !unequalB)
}

func truth(yes bool) string {
	if yes {
		return "T"
	}
	return "F"
}

func failure(err error) string {
	var e *value.Error
	if !errors.As(err, &e) {
		return "not an *Error: " + err.Error()
	}
	return "!" + hex.EncodeToString([]byte(e.Error()))
}

func textOrFailure(text string, err error) string { return bytesOrFailure([]byte(text), err) }

func bytesOrFailure(b []byte, err error) string {
	if err != nil {
		return failure(err)
	}
	return "=" + hex.EncodeToString(b)
}
