package main

import "testing"

// TestTalkEnds: exit ends the shell, as in Python.
func TestTalkEnds(t *testing.T) {
	p := startListening(t)
	for _, word := range []string{"exit", "quit()"} {
		k := talkWith(t, p.addr, 80, 24)
		k.types(word+"\r", "\r\n")
		k.ends()
	}
}

// TestTalkNarrow: the columns of a view are those for which the terminal has room.
func TestTalkNarrow(t *testing.T) {
	p := startListening(t)
	k := talkWith(t, p.addr, 20, 10)
	k.types("d = dict(\"d\")\r", ">>> ")
	k.types(".tables\r", "table  kind  entries\r\nd      dict  0\r\n")
	k.types(".latency\r", "(no room for: ")
}

// TestTalkWithoutServer: a shell whose server has ended says what to do, in the words of the other
// commands, and ends when it is asked to.
func TestTalkWithoutServer(t *testing.T) {
	p := startListening(t)
	k := talkWith(t, p.addr, 200, 24)
	k.types("d = dict(\"d\"); d[1] = 2; d[1]\r", "2\r\n")
	p.Kill()
	k.types("d[1]\r", "\r\nno server at cyberdb://"+p.addr+" (connection refused): start one with `cyberdb-fast`")
	k.types("exit\r", "\r\n")
	k.ends()
}
