//go:build !broken

package loop

import "fmt"

// breakServer switches on a fault of the server, which only a build with the tag "broken" has.
func breakServer(fault string) error { return fmt.Errorf("no fault %q in this build", fault) }
