package persist_test

import "flag"

// The campaigns' size and seed, from the Makefile.
var (
	statesFlag = flag.Int("states", 0, "crash states of the power-cut campaign; 0 is a short run")
	seedFlag   = flag.Uint64("seed", 0, "seed of what is drawn by chance; 0 draws one and prints it")
	breakFlag  = flag.Bool("break", false, "acknowledge before the sync: the power-cut campaign must fail")
)
