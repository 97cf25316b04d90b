//go:build broken

package shardmap

import "fmt"

// Faults that prove that the view checkers work. Tests switch them on one by one; see
// faults_off.go.
var (
	brokenHandover bool
	brokenCut      bool
	brokenView     bool
	brokenRename   bool
)

// Break switches on a fault, for tests of other packages. Errors: there is no such fault.
func Break(fault string) error {
	if fault != "view" {
		return fmt.Errorf("no fault %q", fault)
	}
	brokenView = true
	return nil
}
