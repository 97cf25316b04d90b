package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"cyberdb-fast/bench/harness"
	"cyberdb-fast/client"
	"cyberdb-fast/persist"
)

// testTimeout bounds every wait of a script.
const testTimeout = 20 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cyberdb-fast": main, "denied": denied})
}

// TestScript runs the sessions in testdata/script with the command itself, as processes of their
// own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			port, err := harness.FreePort()
			env.Setenv("PORT", port)
			if err != nil {
				return err
			}
			if port, err = harness.FreePort(); err != nil {
				return err
			}
			env.Setenv("HTTP", port)
			files, err := filepath.Abs("../../codec/legacy/testdata/cdb")
			env.Setenv("CDB", files)
			return err
		},
		Condition: func(cond string) (bool, error) {
			if cond != "mounts" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"holds":    holds,
			"port":     port,
			"ready":    ready,
			"fill":     fill,
			"filled":   filled,
			"refuses":  refuses,
			"taken":    taken,
			"answers":  answers,
			"stall":    stall,
			"stopping": stopping,
			"control":  control,
			"tmpfs":    tmpfs,
		},
	})
}

// port: $PORT is another free port from here on. (A client derives keys for one address sparingly.)
func port(ts *testscript.TestScript, _ bool, _ []string) {
	free, err := harness.FreePort()
	ts.Check(err)
	ts.Setenv("PORT", free)
}

// exits CODE program args...: the program ends with this exit code, within a minute.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE program args...")
	}
	code := 0
	if err := ts.Exec("timeout", append([]string{"60"}, args[1:]...)...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, not %s", code, args[0])
	}
}

// holds FILE tables N: a .cdb file is whole, and has so many tables.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || args[1] != "tables" {
		ts.Fatalf("usage: holds FILE tables N")
	}
	r, err := persist.Open(persist.OS, ts.MkAbs(args[0]))
	ts.Check(err)
	defer func() { ts.Check(r.Close()) }()
	if got := strconv.Itoa(r.Info().Tables); got != args[2] {
		ts.Fatalf("%s tables, not %s", got, args[2])
	}
}

// control SOCKET LINE TEXT: the server answers the line with one that holds the text.
func control(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: control SOCKET LINE TEXT")
	}
	conn, err := net.DialTimeout("unix", ts.MkAbs(args[0]), testTimeout)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(testTimeout)))
	_, err = fmt.Fprintln(conn, args[1])
	ts.Check(err)
	reply, err := bufio.NewReader(conn).ReadString('\n')
	ts.Check(err)
	if !strings.Contains(reply, args[2]) {
		ts.Fatalf("the answer is %q, without %q", reply, args[2])
	}
}

// ready URL [PASSWORD-FILE]: a server answers there, or will soon. Without a file the password is
// in the URL or the environment.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	db := connect(ts, neg, args)
	defer db.Close()
	ts.Check(db.Ping(context.Background()))
}

// fill URL [PASSWORD-FILE]: puts three entries into the dict "scripted".
func fill(ts *testscript.TestScript, neg bool, args []string) {
	db := connect(ts, neg, args)
	defer db.Close()
	scripted := client.DictOf[string, int](db, "scripted")
	_, err := scripted.Ensure(context.Background())
	ts.Check(err)
	for i, key := range []string{"a", "b", "c"} {
		ts.Check(scripted.Set(context.Background(), key, i))
	}
}

// filled URL [PASSWORD-FILE]: they are there.
func filled(ts *testscript.TestScript, neg bool, args []string) {
	db := connect(ts, neg, args)
	defer db.Close()
	keys, err := client.DictOf[string, int](db, "scripted").Keys(context.Background())
	ts.Check(err)
	if got := fmt.Sprint(keys); got != "[a b c]" {
		ts.Fatalf("the keys are %s", got)
	}
}

// connect waits for the server to listen.
func connect(ts *testscript.TestScript, neg bool, args []string) *client.Client {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: ready URL [PASSWORD-FILE]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		db, err := open(ctx, ts, args)
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) { // not yet
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
			}
		}
		ts.Check(err)
		return db
	}
}

func open(ctx context.Context, ts *testscript.TestScript, args []string) (*client.Client, error) {
	options := client.Options{Conns: 1, Password: ts.Getenv("CYBERDB_PASSWORD"), DialTimeout: testTimeout}
	if len(args) == 2 {
		p, err := readPasswordFile("the script", ts.MkAbs(args[1]))
		if err != nil {
			return nil, err
		}
		options.Password = p.text
	}
	return client.Open(ctx, args[0], &options)
}

// refuses TEXT URL: the server there does not take a connection, and says so.
func refuses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: refuses TEXT URL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	db, err := client.Open(ctx, args[1], &client.Options{
		Password: ts.Getenv("CYBERDB_PASSWORD"), DialTimeout: testTimeout,
	})
	if err == nil {
		_ = db.Close()
		ts.Fatalf("the connection was taken")
	}
	if got := err.Error(); !strings.Contains(got, args[0]) {
		ts.Fatalf("refused with %q, without %q", got, args[0])
	}
}

// taken: another program listens on $PORT until the script ends.
func taken(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", ts.Getenv("PORT")))
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
}
