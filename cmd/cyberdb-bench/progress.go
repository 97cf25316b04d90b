package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"

	"cyberdb-fast/bench"
)

// progress returns functions that show and clear a plan's progress in one line of the terminal; nil
// if the file is not a terminal.
func progress(file *os.File) (show func(bench.Status), clear func()) {
	if !term.IsTerminal(int(file.Fd())) {
		return nil, func() {}
	}
	const startOfLine, eraseToEnd = "\r", "\x1b[K"
	show = func(s bench.Status) {
		o := &s.Options
		what := "loading"
		if s.Measuring {
			what = fmt.Sprintf("%.0f op/s", s.OpsPerSecond)
		}
		line := fmt.Sprintf(
			"run %d of %d  %s  %s -c %d -P %d  %s  %s",
			s.Run,
			s.Runs,
			o.Target,
			o.Op,
			o.Connections,
			o.Pipeline,
			s.Elapsed.Round(100*time.Millisecond),
			what,
		)
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && len(line) >= width {
			line = line[:width-1]
		}
		fmt.Fprint(file, startOfLine+line+eraseToEnd)
	}
	return show, func() { fmt.Fprint(file, startOfLine+eraseToEnd) }
}
