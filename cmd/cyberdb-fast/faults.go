//go:build broken

package main

import (
	"errors"
	"fmt"
	"os"

	"cyberdb-fast/loop/engine"
	"cyberdb-fast/shardmap"
)

// faultVariable names the fault of the engine or of the store that a server is to have, so that a
// campaign proves that it finds it. The server says its fault in the first line of its standard
// output, so that the campaign knows that it has one.
const faultVariable = "BREAK_CYBERDB"

func init() {
	fault := os.Getenv(faultVariable)
	if fault == "" {
		return
	}
	if err := engine.Break(fault, true); err != nil {
		if other := shardmap.Break(fault, true); other != nil {
			panic(errors.Join(err, other))
		}
	}
	fmt.Println("fault:", fault)
}
