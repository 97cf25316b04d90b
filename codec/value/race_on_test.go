//go:build race

package value_test

// raceEnabled reports whether the race detector is on: it takes time for each byte that is looked
// at.
const raceEnabled = true
