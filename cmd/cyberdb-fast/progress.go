package main

import (
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressFunc reports the progress of reading a file.
type progressFunc = func(file string, done, total int64)

// progressBar says where a bar is shown: it is written to to, if terminal is a terminal.
type progressBar struct {
	terminal *os.File
	to       io.Writer
}

// onTerminal returns the progressBar of a command that may wait for its terminal.
func onTerminal(f *os.File) progressBar { return progressBar{f, f} }

// loadProgress shows on a terminal how much of a file has been loaded, in bytes. It returns nil if
// there is no terminal.
func loadProgress(b progressBar) progressFunc {
	return fileProgress("loading", b, progressbar.OptionShowBytes(true))
}

// fileProgress shows on a terminal how much of a file has been processed. It returns nil if there
// is no terminal.
func fileProgress(what string, b progressBar, options ...progressbar.Option) progressFunc {
	if !term.IsTerminal(int(b.terminal.Fd())) {
		return nil
	}
	var bar *progressbar.ProgressBar
	shown := ""
	return func(file string, done, total int64) {
		if file != shown {
			shown = file
			bar = progressbar.NewOptions64(total, append([]progressbar.Option{
				progressbar.OptionSetDescription(what + " " + filepath.Base(file)), progressbar.OptionSetWriter(b.to),
				progressbar.OptionThrottle(100 * time.Millisecond), progressbar.OptionClearOnFinish(),
			}, options...)...)
		}
		_ = bar.Set64(done)
	}
}
