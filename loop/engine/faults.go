//go:build broken

package engine

import "fmt"

// Faults that prove that the checkers of locks work. Tests switch them on one by one; see
// faults_off.go.
var (
	brokenRelease bool
	brokenFence   bool
	brokenLease   bool
)

// replayTime is how much later a replay is than what it replays, in milliseconds.
const replayTime = 600_000

// Break switches a fault on or off, for tests of other packages. Errors: there is no such fault.
func Break(fault string, on bool) error {
	switch fault {
	case "release":
		brokenRelease = on
	case "fence":
		brokenFence = on
	case "lease":
		brokenLease = on
	default:
		return fmt.Errorf("no fault %q", fault)
	}
	return nil
}
