package conformance

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Seed returns the seed of a random test, CYBERDB_SEED if that is set, and logs it.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CYBERDB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 0, 64); err != nil {
			t.Fatalf("CYBERDB_SEED: %v", err)
		}
	}
	t.Logf("CYBERDB_SEED=%d", seed)
	return seed
}

// Count returns how many operations a random test makes: CYBERDB_OPS if that is set.
func Count(t testing.TB, normal, short int) int {
	t.Helper()
	if text := os.Getenv("CYBERDB_OPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("CYBERDB_OPS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return normal
}

// Long says whether the heavy variants of the tests run.
func Long() bool { return os.Getenv("CYBERDB_LONG") == "1" }
