package persist_test

import "flag"

// The campaigns' size and seed, from the Makefile.
var (
	seedFlag = flag.Uint64("seed", 0, "seed of what is drawn by chance; 0 draws one and prints it")
)
