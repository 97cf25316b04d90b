package main

import "time"

// valueScenarios are of values, keys and names.
var valueScenarios = []scenario{
	{name: "deep-nesting", about: "values nested millions deep", transport: plain, run: deepNesting},
	{name: "hollow-values", about: "values that claim to be large and are not", transport: plain, run: hollow},
	{name: "element-bombs", about: "a million and one elements in as many bytes", transport: plain, run: elementBombs},
	{
		name:      "damaged-values",
		about:     "damaged values as keys, numbers, indexes and sort keys",
		transport: encrypted,
		run:       damaged,
	},
	{name: "giant-keys", about: "keys of 32 MiB", transport: both, run: giantKeys},
	{
		name:      "table-names",
		about:     "names that could break a file system, a log or a format",
		transport: plain,
		flags:     []string{"--print-log"},
		run:       tableNames,
	},
	{name: "many-tables", about: "tens of thousands of tables", transport: plain, run: manyTables},
	{
		name:      "number-bombs",
		about:     "numbers that would be enormous if they were written out",
		transport: plain,
		run:       numberBombs,
	},
	{
		name:      "sort-bombs",
		about:     "large sorts, searches and updates of many clients at once",
		transport: plain,
		short:     true,
		run:       sortBombs,
	},
	{name: "key-flooding", about: "keys that collide in a hash without a secret", transport: plain, run: flooding},
	{name: "scan-abuse", about: "cursors and limits that the client invented", transport: plain, run: scanAbuse},
}

// amplifyScenarios are of small requests that cause much work.
var amplifyScenarios = []scenario{
	{
		name:      "exploding-sort-keys",
		about:     "sort keys whose results double at each level",
		transport: plain,
		short:     true,
		run:       explodingSortKeys,
	},
	{
		name:      "wide-sort-keys",
		about:     "sort keys of many copies of large elements, at a server with --max-memory",
		transport: plain,
		noMemory:  true,
		peak:      400 << 20,
		flags:     []string{"--max-memory", "256MiB"},
		run:       wideSortKeys,
	},
	{
		name:      "nested-lower",
		about:     "sorts that are just small enough for the event loop, by slow keys",
		transport: plain,
		run:       nestedLower,
	},
	{
		name:      "long-exponents",
		about:     "keys that would be long if their exponents were written out, at a server with --max-memory",
		transport: both,
		noMemory:  true,
		peak:      400 << 20,
		flags:     []string{"--max-memory", "256MiB"},
		run:       longExponents,
	},
	{name: "nested-frozensets", about: "pipelines of deeply nested keys", transport: plain, run: nestedFrozenSets},
	{
		name:      "dear-comparisons",
		about:     "searches for large values among small ones that might equal them",
		transport: plain,
		run:       dearComparisons,
	},
	{name: "dear-sorts", about: "small lists whose elements are slow to compare", transport: plain, run: dearSorts},
	{name: "zone-names", about: "time zones that no database has", transport: plain, run: zoneNames},
}

// workScenarios are of requests that take long.
var workScenarios = []scenario{
	{
		name:      "costly-keys",
		about:     "pipelines of requests with slow keys, on eight connections",
		transport: both,
		request:   hostileBound,
		run:       hostile(costlyKeys),
	},
	{
		name:      "costly-needles",
		about:     "searches for and among values that are slow to compare",
		transport: plain,
		request:   hostileBound,
		run:       hostile(costlyNeedles),
	},
	{
		name:      "costly-work",
		about:     "sorts, slices, sums and whole reads just small enough for the event loop",
		transport: plain,
		request:   hostileBound,
		run:       hostile(costlyWork),
	},
	{
		name:      "mixed-hostile",
		about:     "costly requests of all kinds, on eight connections",
		transport: both,
		short:     true,
		request:   hostileBound,
		p999:      50 * time.Millisecond,
		run:       hostile(costlyKeys, costlyNeedles, costlyWork),
	},
}

// replyScenarios are of replies that are not read, and of memory.
var replyScenarios = []scenario{
	{name: "deaf", about: "clients that send requests and do not read", transport: both, run: deaf},
	{
		name:      "deaf-together",
		about:     "a hundred clients that leave as much unread as each may",
		transport: both,
		request:   2 * time.Second,
		login:     4 * time.Second,
		peak:      1200 << 20,
		run:       deafTogether,
	},
	{
		name:      "deaf-to-giants",
		about:     "a hundred clients that do not read replies of 30 MiB",
		transport: both,
		peak:      1600 << 20,
		run:       deafToGiants,
	},
	{name: "tiny-windows", about: "clients that read with tiny buffers", transport: both, run: tinyWindows},
	{
		name:      "abandoned-reads",
		about:     "long reads whose clients have disconnected",
		transport: both,
		run:       abandonedReads,
	},
	{name: "too-many-reads", about: "more long reads than the limit, not read", transport: both, run: tooManyReads},
	{
		name:      "blocked",
		about:     "hundreds of clients that wait for long writes and disconnect",
		transport: plain,
		run:       blocked,
	},
	{name: "dropped", about: "tables dropped and cleared under their readers", transport: plain, run: dropped},
	{name: "figures-flood", about: "INFO and TABLES without a pause", transport: both, run: figuresFlood},
	{
		name:      "figures-of-many-tables",
		about:     "INFO in pipelines, at a server of 100,000 tables",
		transport: plain,
		run:       figuresOfMany,
	},
	{
		name:      "long-lists-of-tables",
		about:     "the list of 100,000 tables with long names, for eight clients at once",
		transport: both,
		short:     true,
		request:   2 * time.Second,
		run:       longLists,
	},
	{
		name:      "deaf-to-lists",
		about:     "hundreds of such lists that are not read, while all tables are renamed",
		transport: plain,
		request:   3 * time.Second,
		login:     4 * time.Second,
		run:       deafToLists,
	},
	{
		name:      "full-of-writers",
		about:     "--max-memory reached by large values",
		transport: both,
		short:     true,
		noMemory:  true,
		flags:     []string{"--max-memory", "192MiB"},
		run:       fullOfWriters,
	},
	{
		name:      "full-of-crumbs",
		about:     "--max-memory reached by small entries and many tables",
		transport: plain,
		noMemory:  true,
		flags:     []string{"--max-memory", "192MiB"},
		run:       fullOfCrumbs,
	},
}

// operatorScenarios are of logs and control clients that do not read.
var operatorScenarios = []scenario{
	{
		name:      "hung-log",
		about:     "a log that nothing reads, while passwords are guessed, requests are logged and tables are saved",
		transport: both,
		short:     true,
		readers:   hungLog,
		flags:     []string{"--print-log", "--cycle", "1"},
		end:       10 * time.Second,
		run:       unreadLog,
	},
	{
		name:      "log-on-full-disk",
		about:     "the same on a full disk",
		transport: plain,
		readers:   fullDisk,
		flags:     []string{"--print-log", "--cycle", "1"},
		end:       10 * time.Second,
		run:       unreadLog,
	},
	{
		name:      "hung-screen",
		about:     "an output that nothing reads",
		transport: both,
		readers:   hungScreen,
		end:       10 * time.Second,
		run:       unreadScreen,
	},
	{
		name:      "hung-control",
		about:     "clients of the control socket that are silent, slow and deaf, while another one saves",
		transport: plain,
		short:     true,
		flags:     []string{"--print-log"},
		end:       10 * time.Second,
		run:       stuckControl,
	},
}
