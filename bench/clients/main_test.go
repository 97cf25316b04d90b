package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cyberdb-fast/bench"
	"cyberdb-fast/codec/secure"
	"cyberdb-fast/loop"
)

func TestMeasuresTheGoClient(t *testing.T) {
	const password = "correct horse"
	server, err := loop.Start(loop.Config{
		Addr:     "127.0.0.1:0",
		MaxConns: 60,
		Password: password,
		KDF:      secure.KDF{LogN: secure.MinLogN},
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	t.Setenv("CYBERDB_PASSWORD", password)
	for _, op := range []string{"get", "set", "mixed", "lock", "take", "wake"} {
		var out bytes.Buffer
		line := "--libraries cyberdb --goroutines 50 --keys 20000 -d 50ms --warmup 5ms --repeat 2 --json --op " + op +
			" --cyberdb " + server.Addr().String() + " --out " + filepath.Join(t.TempDir(), "runs.jsonl")
		if err := run(context.Background(), strings.Fields(line), &out); err != nil {
			t.Fatal(err)
		}
		var series struct {
			Runs []struct {
				Ops, Errors, Goroutines int
				Client                  string
			}
		}
		if err := json.Unmarshal(out.Bytes(), &series); err != nil || len(series.Runs) != 2 {
			t.Fatalf("%v: %s", err, out.String())
		}
		for _, r := range series.Runs {
			if r.Ops == 0 || r.Errors > 0 || r.Goroutines != 50 || r.Client == "" {
				t.Errorf("%s: %+v", op, r)
			}
		}
	}
}

func TestPairs(t *testing.T) {
	s, err := parse([]string{"--cyberdb", "h:1", "--redis", "h:2", "--valkey", "h:3"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range s.pairs() {
		got = append(got, p.library+" "+p.target.String())
	}
	want := []string{
		"cyberdb cyberdb://h:1",
		"rueidis redis://h:2",
		"rueidis redis://h:3",
		"go-redis redis://h:2",
		"go-redis redis://h:3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRefuses(t *testing.T) {
	for _, line := range []string{"--bogus", "--op steal", "--value-size x", "--libraries carrier-pigeon", "--goroutines 0 --libraries cyberdb"} {
		var usage *bench.UsageError
		if err := run(context.Background(), strings.Fields(line), io.Discard); !errors.As(err, &usage) {
			t.Errorf("%s: error %v", line, err)
		}
	}
}
