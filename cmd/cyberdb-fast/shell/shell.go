package shell

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/syntax"
	"cyberdb-fast/cmd/cyberdb-fast/shell/views"
)

// Options are the settings of a shell.
type Options struct {
	JSON     bool          // results as JSON
	Timeout  time.Duration // of a statement, without the writing of its result; 0: none
	Password string        // that no history may keep
	// Explain returns an error in one line; default: eval.Explain.
	Explain func(error) string
}

// Shell executes statements and dot commands on a server.
type Shell struct {
	db      *client.Client
	session *eval.Session
	options Options
	out     io.Writer
	form    eval.Form
	// page writes a result; on a terminal, page by page.
	page func(ctx context.Context, write func(w io.Writer) error) error
}

// New returns a shell that writes its results to out.
func New(db *client.Client, out io.Writer, options Options) *Shell {
	if options.Explain == nil {
		options.Explain = eval.Explain
	}
	s := &Shell{db: db, session: eval.New(db), options: options, out: out, form: eval.Form{JSON: options.JSON}}
	s.page = func(_ context.Context, write func(w io.Writer) error) error { return write(s.out) }
	return s
}

// view returns the views of the shell's server, which write to w.
func (s *Shell) view(w io.Writer) *views.View {
	v := &views.View{DB: s.db, Out: w, JSON: s.options.JSON, Timeout: s.options.Timeout}
	if p, ok := w.(*pager); ok {
		v.Width = p.width
	}
	return v
}

// errEnd ends a shell that was asked to.
var errEnd = errors.New("end of the shell")

// isDotCommand reports whether a line is a dot command: .5 is a number, and ... a value.
func isDotCommand(line string) bool {
	line = strings.TrimSpace(line)
	return strings.HasPrefix(line, ".") && !strings.HasPrefix(line, "...") &&
		(len(line) == 1 || line[1] < '0' || line[1] > '9')
}

// word executes a line that is one of the words which Python's shell knows. A table that such a
// name was given to goes first.
func (s *Shell) word(ctx context.Context, line string) (done bool, err error) {
	word := strings.TrimSuffix(strings.TrimSpace(line), "()")
	if slices.Contains(s.session.Names(), word) {
		return false, nil
	}
	switch word {
	case "exit", "quit":
		return true, errEnd
	case "help":
		return true, s.dot(ctx, ".help")
	}
	return false, nil
}

// run executes the statements of a text.
func (s *Shell) run(ctx context.Context, src string) error {
	statements, err := syntax.Parse(src)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if err := s.statement(ctx, src, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shell) statement(ctx context.Context, src string, statement syntax.Statement) error {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if s.options.Timeout > 0 {
		limited, cancel = context.WithTimeout(ctx, s.options.Timeout)
	}
	result, err := s.session.Run(limited, src, statement)
	cancel()
	if err != nil || result == nil {
		return err
	}
	return s.page(ctx, func(w io.Writer) error { return eval.Print(ctx, w, result, s.form) })
}

// Script executes the lines of a text up to the first error, which it returns: *syntax.Error if the
// text cannot be parsed.
func (s *Shell) Script(ctx context.Context, text io.Reader) error {
	lines := bufio.NewReaderSize(text, 64<<10)
	var pending syntax.Pending
	for {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		last := err != nil
		switch err := s.line(ctx, &pending, line, last); {
		case errors.Is(err, errEnd):
			return nil
		case err != nil || last:
			return err
		}
	}
}

// line adds a line to the statement that is pending, and executes it if it is whole. Errors: also
// errEnd.
func (s *Shell) line(ctx context.Context, pending *syntax.Pending, line string, last bool) error {
	if pending.Len() == 0 && isDotCommand(line) {
		return s.dot(ctx, line)
	}
	if pending.Len() == 0 {
		if done, err := s.word(ctx, line); done {
			return err
		}
	}
	pending.Add(line)
	if pending.Len() > syntax.MaxTextBytes {
		return fmt.Errorf("a statement has at most %d bytes", syntax.MaxTextBytes)
	}
	if pending.Open() && !last {
		return nil
	}
	return s.run(ctx, pending.Take())
}

// readLine reads a line without its end. With io.EOF it returns the last one.
func readLine(from *bufio.Reader) (string, error) {
	var line strings.Builder
	for {
		part, err := from.ReadSlice('\n')
		line.Write(part)
		switch {
		case line.Len() > syntax.MaxTextBytes:
			return "", fmt.Errorf("a line has at most %d bytes", syntax.MaxTextBytes)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		}
		return strings.TrimSuffix(line.String(), "\n"), err
	}
}
