package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressFunc is told how far a file is.
type progressFunc = func(file string, done, total int64)

// loadProgress shows on a terminal how far a file has been loaded, in bytes; nil if there is no terminal.
func loadProgress(to *os.File) progressFunc {
	return fileProgress("loading", to, progressbar.OptionShowBytes(true))
}

// fileProgress shows on a terminal how far a file is; nil if there is no terminal.
func fileProgress(what string, to *os.File, options ...progressbar.Option) progressFunc {
	if !term.IsTerminal(int(to.Fd())) {
		return nil
	}
	var bar *progressbar.ProgressBar
	shown := ""
	return func(file string, done, total int64) {
		if file != shown {
			shown = file
			bar = progressbar.NewOptions64(total, append([]progressbar.Option{
				progressbar.OptionSetDescription(what + " " + filepath.Base(file)), progressbar.OptionSetWriter(to),
				progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
			}, options...)...)
		}
		_ = bar.Set64(done)
	}
}
