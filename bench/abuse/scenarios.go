package main

import "time"

// scenarios is the campaign.
var scenarios = []scenario{
	// Before the proof.
	{name: "half-open", about: "connections that say nothing", transport: plain, run: dripped(sendsHello, true)},
	{name: "slow-loris-hello", about: "Hello, a byte at a time", transport: encrypted, short: true, run: dripped(sendsHello, false)},
	{name: "half-open-share", about: "silence after Hello", transport: encrypted, run: dripped(sendsShare, true)},
	{name: "slow-loris-share", about: "ClientShare, a byte at a time", transport: plain, run: dripped(sendsShare, false)},
	{name: "half-open-fin", about: "silence after ClientShare", transport: plain, run: dripped(sendsFin, true)},
	{name: "slow-loris-fin", about: "ClientFin, a byte at a time", transport: encrypted, run: dripped(sendsFin, false)},
	{name: "garbage-hello", about: "anything in the place of Hello", transport: plain, run: garbled(sendsHello)},
	{name: "garbage-share", about: "anything in the place of ClientShare", transport: encrypted, run: garbled(sendsShare)},
	{name: "garbage-fin", about: "anything in the place of ClientFin", transport: both, short: true, run: garbled(sendsFin)},
	{name: "other-protocols", about: "HTTP, RESP, TLS, SSH, pickles", transport: plain, run: otherProtocols},
	{name: "other-protocols-dripped", about: "the same, a byte at a time: each is answered in its own language", transport: both, short: true, run: otherProtocolsDripped},
	{name: "other-protocols-stay", about: "clients of HTTP that have their answer and do not go, more than there are places", transport: plain, flags: []string{"-c", "100"}, run: otherProtocolsStay},
	{name: "forged-refusals", about: "refusals, and all other messages out of place, before the proof", transport: both, short: true, run: forgedRefusals},
	{name: "long-messages", about: "messages of no length, of more than they may have, and of more than a handshake has", transport: both, run: longMessages},
	{name: "every-bit", about: "each bit of each message of the handshake flipped", transport: both, run: everyBit},
	{name: "replayed-login", about: "a recorded login sent again, and the server's own messages sent back", transport: both, short: true, run: replayed},
	{name: "low-order-shares", about: "shares that would make the key independent of the password", transport: plain, run: lowOrder},
	{name: "other-settings", about: "the other setting of encryption, unknown versions, suites and options", transport: both, run: otherSettings},
	{name: "unproved-requests", about: "requests without a proof, at every stage", transport: both, run: unproved},
	{name: "handshake-flood", about: "logins that have the arithmetic done and go no further", transport: both, short: true, run: handshakeFlood},
	{name: "asked-and-gone", about: "logins that are gone before the arithmetic is done", transport: encrypted, run: askedAndGone},
	{name: "wrong-passwords", about: "thousands of wrong passwords from this machine", transport: encrypted, run: wrongPasswords},
	{name: "guessing-address", about: "wrong passwords from one address: it waits, longer each time, and nobody else", transport: plain, elsewhere: true, flags: everywhere("0.0.0.0/0"), run: guessingAddress},
	{name: "guessing-network", about: "the same from an IPv6 network", transport: encrypted, elsewhere: true, flags: everywhere("::/0,127.0.0.1"), run: guessingNetwork},

	// Connections.
	{name: "login-storm", about: "ten thousand connections, each with the password", transport: both, short: true, noRoom: true, login: 5 * time.Second, run: loginStorm},
	{name: "silent-storm", about: "ten thousand connections that say nothing, and more of them", transport: plain, login: 5 * time.Second, run: silentStorm},
	{name: "no-room", about: "strangers that take all places of a server again and again", transport: both, elsewhere: true, flags: append(everywhere("0.0.0.0/0"), "-c", "100"), run: noRoomLeft},
	{name: "reset-storm", about: "twenty thousand connections, reset at once", transport: encrypted, noRoom: true, run: resetStorm},
	{name: "churn", about: "login, one request, and gone", transport: both, run: churn},
	{name: "no-descriptors", about: "more connections than descriptors", transport: both, short: true, noLogin: true, run: noDescriptors},
	{name: "just-enough-descriptors", about: "strangers that want more descriptors than there are, while files are made", transport: both, elsewhere: true, files: 100 + 128, flags: append(everywhere("0.0.0.0/0"), "-c", "100", "--cycle", "1"), run: justEnoughDescriptors},
	{name: "default-allow-list", about: "other addresses, at a server that encrypts and was not told who may come", transport: encrypted, elsewhere: true, flags: []string{"--host", "::"}, run: defaultAllowList},
	{name: "allow-list", about: "addresses of all kinds, at a server that was told who may come", transport: both, elsewhere: true, flags: everywhere("127.0.0.1,192.0.2.0/25,2001:db8:1::/64"), run: allowList},
	{name: "unwanted", about: "an address that is not allowed keeps coming and does not go", transport: plain, short: true, flags: []string{"--allow", "127.0.0.1"}, run: unwanted},
	{name: "idlers", about: "connections that fall silent after the login", transport: both, flags: []string{"--timeout", "1"}, request: 2 * time.Second, run: idlers},
	{name: "half-closed", about: "one side ended at every stage", transport: both, run: halfClosed},
	{name: "reset-everywhere", about: "connections reset at every byte of a session", transport: both, short: true, run: resetEverywhere},
	{name: "unix-storm", about: "a Unix socket: garbage, silence, logins", transport: both, flags: []string{"--unix", "DIR/socket"}, run: unixStorm},

	// Frames and records.
	{name: "garbage-frames", about: "anything in the place of requests", transport: both, short: true, run: garbageFrames},
	{name: "impossible-lengths", about: "frames of no length, and of more than may be", transport: both, run: impossibleLengths},
	{name: "announced-frames", about: "hundreds of large frames announced and not sent", transport: both, run: announced},
	{name: "half-frames", about: "half frames of all clients, more than the server holds", transport: both, run: halfFrames},
	{name: "half-frames-and-a-limit", about: "the same, at a server with --max-memory", transport: encrypted, noMemory: true, peak: 400 << 20, flags: []string{"--max-memory", "192MiB"}, run: halfFrames},
	{name: "one-byte-segments", about: "requests in segments of one byte", transport: both, run: oneByteSegments},
	{name: "long-pipelines", about: "hundreds of thousands of requests in one write", transport: both, run: longPipelines},
	{name: "unknown-opcodes", about: "every opcode with every flag", transport: plain, run: unknown},
	{name: "requests-ahead", about: "more requests than may wait behind replies that are not read", transport: both, run: requestsAhead},
	{name: "tampered-records", about: "records changed, repeated, swapped, cut, dropped, reflected, after the end", transport: encrypted, short: true, run: tampered},
	{name: "foreign-records", about: "records of another connection", transport: encrypted, run: foreignRecords},
	{name: "tiny-records", about: "every byte in a record of its own", transport: encrypted, run: tinyRecords},
	{name: "half-records", about: "a thousand records announced and not sent", transport: encrypted, run: halfRecords},

	// Values.
	{name: "deep-nesting", about: "values nested millions deep", transport: plain, run: deepNesting},
	{name: "hollow-values", about: "values that claim to be large and are not", transport: plain, run: hollow},
	{name: "element-bombs", about: "a million and one elements in as many bytes", transport: plain, run: elementBombs},
	{name: "damaged-values", about: "damaged values as keys, numbers, indexes and sort keys", transport: encrypted, run: damaged},
	{name: "giant-keys", about: "keys of 32 MiB", transport: both, run: giantKeys},
	{name: "table-names", about: "names that a file system, a log or a format would stumble over", transport: plain, flags: []string{"--print-log"}, run: tableNames},
	{name: "many-tables", about: "tables by the ten thousand", transport: plain, run: manyTables},
	{name: "number-bombs", about: "numbers that would be enormous if they were written out", transport: plain, run: numberBombs},
	{name: "sort-bombs", about: "large sorts, searches and updates of many clients at once", transport: plain, short: true, run: sortBombs},
	{name: "key-flooding", about: "keys that collide in a hash without a secret", transport: plain, run: flooding},
	{name: "scan-abuse", about: "cursors and limits of the client's own making", transport: plain, run: scanAbuse},

	// Small requests that ask for much.
	{name: "exploding-sort-keys", about: "sort keys whose results double at each level", transport: plain, short: true, run: explodingSortKeys},
	{name: "wide-sort-keys", about: "sort keys of many copies of large elements, at a server with --max-memory", transport: plain, noMemory: true, peak: 400 << 20, flags: []string{"--max-memory", "256MiB"}, run: wideSortKeys},
	{name: "nested-lower", about: "sorts that are just small enough for the loop, by keys that take long", transport: plain, run: nestedLower},
	{name: "long-exponents", about: "keys that would be long if their exponents were written out, at a server with --max-memory", transport: both, noMemory: true, peak: 400 << 20, flags: []string{"--max-memory", "256MiB"}, run: longExponents},
	{name: "nested-frozensets", about: "pipelines of deeply nested keys", transport: plain, run: nestedFrozenSets},
	{name: "dear-comparisons", about: "large values sought among small ones that might equal them", transport: plain, run: dearComparisons},
	{name: "dear-sorts", about: "small lists whose elements take long to compare", transport: plain, run: dearSorts},
	{name: "zone-names", about: "time zones that no database has", transport: plain, run: zoneNames},

	// Work.
	{name: "costly-keys", about: "pipelines of requests with keys that take long, on eight connections", transport: both, request: hostileBound, run: hostile(costlyKeys)},
	{name: "costly-needles", about: "searches for values, and among values, that take long to compare", transport: plain, request: hostileBound, run: hostile(costlyNeedles)},
	{name: "costly-work", about: "sorts, slices, sums and whole reads just below what a loop does itself", transport: plain, request: hostileBound, run: hostile(costlyWork)},
	{name: "mixed-hostile", about: "costly requests of all kinds, on eight connections", transport: both, short: true, request: hostileBound, p999: 50 * time.Millisecond, run: hostile(costlyKeys, costlyNeedles, costlyWork)},

	// Replies and memory.
	{name: "deaf", about: "clients that ask and do not read", transport: both, run: deaf},
	{name: "deaf-together", about: "a hundred clients that leave unread what each may", transport: both, request: 2 * time.Second, login: 4 * time.Second, peak: 1200 << 20, run: deafTogether},
	{name: "deaf-to-giants", about: "a hundred clients that do not read replies of 30 MiB", transport: both, peak: 1600 << 20, run: deafToGiants},
	{name: "tiny-windows", about: "clients that read with no room for replies", transport: both, run: tinyWindows},
	{name: "abandoned-reads", about: "long reads whose clients are gone", transport: both, run: abandonedReads},
	{name: "too-many-reads", about: "more long reads than there may be, not read", transport: both, run: tooManyReads},
	{name: "parked", about: "hundreds of clients behind long writes, leaving", transport: plain, run: parked},
	{name: "dropped", about: "tables dropped and cleared under their readers", transport: plain, run: dropped},
	{name: "figures-flood", about: "INFO and TABLES as fast as they come", transport: both, run: figuresFlood},
	{name: "figures-of-many-tables", about: "INFO in pipelines, at a server of 100,000 tables", transport: plain, run: figuresOfMany},
	{name: "long-lists-of-tables", about: "the list of 100,000 tables with long names, for eight clients at once", transport: both, short: true, request: 2 * time.Second, run: longLists},
	{name: "deaf-to-lists", about: "hundreds of such lists that are not read, while all names become others", transport: plain, request: 3 * time.Second, login: 4 * time.Second, run: deafToLists},
	{name: "full-of-writers", about: "--max-memory reached by large values", transport: both, short: true, noMemory: true, flags: []string{"--max-memory", "192MiB"}, run: fullOfWriters},
	{name: "full-of-crumbs", about: "--max-memory reached by small entries and many tables", transport: plain, noMemory: true, flags: []string{"--max-memory", "192MiB"}, run: fullOfCrumbs},

	// What the operator's side does not read.
	{name: "hung-log", about: "a log that nothing reads, while passwords are guessed, requests are logged and tables are saved", transport: both, short: true, readers: hungLog, flags: []string{"--print-log", "--cycle", "1"}, end: 10 * time.Second, run: unreadLog},
	{name: "log-on-full-disk", about: "the same on a full disk", transport: plain, readers: fullDisk, flags: []string{"--print-log", "--cycle", "1"}, end: 10 * time.Second, run: unreadLog},
	{name: "hung-screen", about: "an output that nothing reads", transport: both, readers: hungScreen, end: 10 * time.Second, run: unreadScreen},
	{name: "hung-control", about: "clients of the control socket that are silent, slow and deaf, while another one saves", transport: plain, short: true, flags: []string{"--print-log"}, end: 10 * time.Second, run: stuckControl},
}

// everywhere returns the flags of a server that listens on all addresses and lets some come.
func everywhere(allow string) []string { return []string{"--host", "::", "--allow", allow} }
