//go:build race

package legacy_test

// raceEnabled says that times are not those of the program.
const raceEnabled = true
