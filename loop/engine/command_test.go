package engine_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"cyberdb-fast/codec"
	"cyberdb-fast/loop/engine"
)

var update = flag.Bool("update", false, "rewrite the opcodes of the Python client")

const pythonOpcodes = "../../client/python/src/cyberdb_fast/opcodes.py"

// TestCommandTable: each opcode has a row, and each row an opcode.
func TestCommandTable(t *testing.T) {
	for op, command := range engine.Protocol() {
		known := codec.Shapes[op].Name != ""
		switch {
		case known && command.Run == nil:
			t.Errorf(
				"loop/engine/command.go has no row for %v: add it, and the body beside its like in loop/engine",
				codec.Opcode(op),
			)
		case !known && command.Run != nil:
			t.Errorf("codec/opcode.go has no shape for %#02x, which has a row in loop/engine/command.go", op)
		}
	}
}

// TestPythonOpcodes: the Python client's opcodes are those of codec/opcode.go, and what it says of
// them is what the command table says.
func TestPythonOpcodes(t *testing.T) {
	want := pythonText()
	if *update {
		if err := os.WriteFile(pythonOpcodes, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(pythonOpcodes)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf(
			"%s is not what codec/opcode.go and loop/engine/command.go say: run make generate",
			strings.TrimPrefix(pythonOpcodes, "../../"),
		)
	}
}

// pythonText returns opcodes.py, formatted as the Python client's formatter does.
func pythonText() string {
	var opcodes, reads, onKey strings.Builder
	commands := engine.Protocol()
	for op, shape := range codec.Shapes {
		if shape.Name == "" {
			continue
		}
		name := strings.ReplaceAll(shape.Name, " ", "_")
		fmt.Fprintf(&opcodes, "%s = 0x%02X\n", name, op)
		if !commands[op].Mutates {
			fmt.Fprintf(&reads, "        %s,\n", name)
		}
		if commands[op].OnKey {
			fmt.Fprintf(&onKey, "        %s,\n", name)
		}
	}
	return `"""The opcodes of codec/PROTOCOL.md. Made by ` + "`make generate`" + `: do not change it here."""

from __future__ import annotations

` + opcodes.String() + `
OPCODE_NAMES = {code: name.replace("_", " ") for name, code in list(globals().items()) if name.isupper() and isinstance(code, int)}

# Requests that change no table: they may be sent again when a connection was lost.
READS = frozenset(
    {
` + reads.String() + `    }
)

# Requests about one key of a dict.
ON_KEY = frozenset(
    {
` + onKey.String() + `    }
)
`
}
