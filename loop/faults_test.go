//go:build !broken

package loop

import "fmt"

// breakStore switches on a fault of the store, which only a build with the tag "broken" has.
func breakStore(fault string) error { return fmt.Errorf("no fault %q in this build", fault) }
