//go:build broken

package shardmap

import "fmt"

// Faults that prove that the checkers of views and of queues work. Tests switch them on one by one;
// see faults_off.go.
var (
	brokenHandover bool
	brokenCut      bool
	brokenView     bool
	brokenRename   bool
	brokenAck      bool
	brokenDue      bool
)

// replayTime is how much later a replay is than what it replays, in milliseconds.
const replayTime = 600_000

// Break switches a fault on or off, for tests of other packages. Errors: there is no such fault.
func Break(fault string, on bool) error {
	switch fault {
	case "view":
		brokenView = on
	case "ack":
		brokenAck = on
	case "due":
		brokenDue = on
	default:
		return fmt.Errorf("no fault %q", fault)
	}
	return nil
}
