package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// loadProgress returns what shows on a terminal how far a file has been loaded, nil if there is no terminal.
func loadProgress(to *os.File) func(file string, done, total int64) {
	if !term.IsTerminal(int(to.Fd())) {
		return nil
	}
	var bar *progressbar.ProgressBar
	loading := ""
	return func(file string, done, total int64) {
		if file != loading {
			loading = file
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetDescription("loading "+filepath.Base(file)), progressbar.OptionSetWriter(to),
				progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done)
	}
}
