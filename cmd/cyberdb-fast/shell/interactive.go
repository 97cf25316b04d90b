package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/peterh/liner"
	"golang.org/x/term"

	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
)

// The prompts, as Python's.
const (
	prompt     = ">>> "
	morePrompt = "... "
)

// terminal is a shell's terminal.
type terminal struct {
	shell   *Shell
	editor  *liner.State
	history *history
	in, out *os.File
	colour  bool
}

// Interactive talks with the terminal that in and out are, until Ctrl-D or exit.
func (s *Shell) Interactive(ctx context.Context, in, out *os.File) error {
	t := &terminal{shell: s, in: in, out: out, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	s.form.Rows = true
	s.page = func(ctx context.Context, write func(w io.Writer) error) error {
		return pageOnTerminal(ctx, in, out, write)
	}
	t.editor = liner.NewLiner()
	defer func() { _ = t.editor.Close() }() // only restores the terminal
	t.editor.SetCtrlCAborts(true)
	t.editor.SetTabCompletionStyle(liner.TabPrints)
	t.editor.SetWordCompleter((&completer{shell: s}).complete)
	t.openHistory()
	defer t.history.close()
	return t.talk(ctx)
}

func (t *terminal) openHistory() {
	path, err := historyPath()
	var lines []string
	t.history = &history{}
	if err == nil {
		t.history, lines, err = openHistory(path, t.shell.options.Password)
	}
	if err != nil {
		fmt.Fprintf(t.out, "no history is kept: %v\n", err)
	}
	for _, line := range lines {
		t.editor.AppendHistory(line)
	}
}

// talk reads lines and executes them.
func (t *terminal) talk(ctx context.Context) error {
	var pending syntax.Pending
	for ctx.Err() == nil {
		ask := prompt
		if pending.Len() > 0 {
			ask = morePrompt
		}
		line, err := t.editor.Prompt(ask)
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			pending.Take()
			continue
		case errors.Is(err, io.EOF):
			fmt.Fprintln(t.out)
			return nil
		case err != nil:
			return err
		}
		if t.history.keeps(line) {
			t.editor.AppendHistory(line)
			t.history.add(line)
		}
		if t.execute(ctx, &pending, line) {
			return nil
		}
	}
	return ctx.Err()
}

// execute executes a line, which Ctrl-C ends. ends is true if the shell ends with it.
func (t *terminal) execute(ctx context.Context, pending *syntax.Pending, line string) (ends bool) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	switch err := t.shell.line(ctx, pending, line, false); {
	case errors.Is(err, errEnd):
		return true
	case err != nil && !errors.Is(err, errStopped):
		pending.Take()
		t.explain(err)
	}
	return false
}

// explain prints an error: one of parsing with a caret below the place.
func (t *terminal) explain(err error) {
	text := t.shell.options.Explain(err)
	var parse *syntax.Error
	if errors.As(err, &parse) {
		width, _, sizeErr := term.GetSize(int(t.out.Fd()))
		if sizeErr != nil {
			width = 80
		}
		text = parse.Pointed(width)
	}
	if t.colour {
		text = "\x1b[31m" + text + "\x1b[0m"
	}
	fmt.Fprintln(t.out, text)
}
