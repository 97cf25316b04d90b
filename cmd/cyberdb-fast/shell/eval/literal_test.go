package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

var (
	literalSeed  = flag.Int64("literal.seed", 0, "seed of the literals that CPython reads too; 0: a new one each run")
	literalCount = flag.Int("literal.count", 3000, "how many literals")
)

// offline is a session that has no server: literals need none.
func offline(t *testing.T) *eval.Session {
	t.Helper()
	db, err := client.New(client.Options{Password: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return eval.New(db)
}

// printed returns what the shell prints for a text, or an error.
func printed(s *eval.Session, src string, form eval.Form) (string, error) {
	statements, err := syntax.Parse(src)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for _, st := range statements {
		r, err := s.Run(context.Background(), src, st)
		if err == nil {
			err = eval.Print(context.Background(), &out, r, form)
		}
		if err != nil {
			return out.String(), err
		}
	}
	return out.String(), nil
}

// TestLiteralsAsCPython reads random literals, valid and not, and compares with CPython's
// ast.literal_eval.
func TestLiteralsAsCPython(t *testing.T) {
	seed := *literalSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	t.Logf("-literal.seed=%d -literal.count=%d", seed, *literalCount)
	out, err := exec.Command(
		"python3", "-B", "testdata/literals.py", strconv.FormatInt(seed, 10), strconv.Itoa(*literalCount),
	).Output()
	if err != nil {
		t.Fatal(err)
	}
	s := offline(t)
	valid := 0
	for line := range strings.Lines(string(out)) {
		var pair [2]*string
		if err := json.Unmarshal([]byte(line), &pair); err != nil {
			t.Fatal(err)
		}
		got := ""
		_, err := syntax.ParseExpression(*pair[0]) // one, as for literal_eval
		if err == nil {
			got, err = printed(s, *pair[0], eval.Form{})
		}
		switch want := pair[1]; {
		case want == nil && err == nil:
			t.Errorf("%q: CPython refuses it, the shell says %s", *pair[0], got)
		case want != nil && err != nil:
			t.Errorf("%q: CPython says %s, the shell %v", *pair[0], *want, err)
		case want != nil && strings.TrimSuffix(got, "\n") != *want:
			t.Errorf("%q: CPython says %s, the shell %s", *pair[0], *want, got)
		case want != nil:
			valid++
		}
	}
	if valid < *literalCount/4 {
		t.Errorf("only %d of %d literals were valid", valid, *literalCount)
	}
}

// TestReprsAreRead has the shell read what repr prints of values that have no literal.
func TestReprsAreRead(t *testing.T) {
	s := offline(t)
	for _, repr := range []string{
		"Decimal('1.10')", "Decimal('NaN')", "Fraction(1, 3)", "UUID('12345678-1234-5678-1234-567812345678')",
		"datetime.date(2024, 2, 29)", "datetime.datetime(2024, 1, 1, 0, 0)",
		"datetime.datetime(2024, 1, 1, 12, 30, 5, 7, fold=1, tzinfo=datetime.timezone.utc)",
		"datetime.datetime(2024, 1, 1, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(seconds=3600)))",
		"datetime.time(1, 2, 3)", "datetime.timedelta(days=-1, seconds=5, microseconds=7)",
		"bytearray(b'a\\xff')", "frozenset({1, 2})", "frozenset()", "set()", "{1, 'a'}", "range(0, 10)", "range(0, 10, 2)",
		"OrderedDict([('a', 1)])", "Counter({'a': 2})", "deque([1, 2])", "deque([1], maxlen=3)", "(1+2j)", "(-0-2j)", "Ellipsis",
		"[{'a': (1,)}, None]", `'\ud800'`,
	} {
		src := strings.NewReplacer("Ellipsis", "...", "(-0-2j)", "(-0.0-2j)").Replace(repr)
		got, err := printed(s, src, eval.Form{})
		if err != nil || strings.TrimSuffix(got, "\n") != repr {
			t.Errorf("%s: %s %v", repr, got, err)
		}
	}
}
