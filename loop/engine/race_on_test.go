//go:build race

package engine

// raceEnabled says that the race detector is on, which makes everything several times slower.
const raceEnabled = true
