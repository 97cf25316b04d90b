package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"
)

// errStopped ends the writing of a result when its reader has seen enough.
var errStopped = errors.New("stopped")

// pager writes to a terminal, and waits for a key when a page is full.
type pager struct {
	ctx           context.Context
	out           io.Writer
	keys          io.Reader
	width, height int
	row, column   int
	stopped       error
}

// pageOnTerminal writes a result page by page.
func pageOnTerminal(ctx context.Context, in, out *os.File, write func(w io.Writer) error) error {
	width, height, err := term.GetSize(int(out.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	p := &pager{ctx: ctx, out: out, keys: &rawKeys{in}, width: width, height: max(height, 3)}
	err = write(p)
	if p.stopped != nil {
		if p.column > 0 {
			fmt.Fprintln(out)
		}
		return p.stopped
	}
	return err
}

// Write implements io.Writer. Its error ends the writing.
func (p *pager) Write(b []byte) (n int, err error) {
	for len(b) > 0 && p.stopped == nil {
		if err := p.ctx.Err(); err != nil {
			p.stopped = err
			break
		}
		if p.row >= p.height-1 {
			if p.stopped = p.wait(); p.stopped != nil {
				break
			}
		}
		fits := p.fits(b)
		written, err := p.out.Write(b[:fits])
		n += written
		if err != nil {
			return n, err
		}
		b = b[fits:]
	}
	return n, p.stopped
}

// fits returns how many bytes fill the page, and counts them: at most one line of the terminal
// more.
func (p *pager) fits(b []byte) (n int) {
	for n < len(b) {
		r, size := utf8.DecodeRune(b[n:])
		n += size
		if r == '\n' {
			p.row, p.column = p.row+1, 0
		} else if p.column++; p.column == p.width {
			p.row, p.column = p.row+1, 0
		}
		if p.row >= p.height-1 {
			break
		}
	}
	return n
}

// wait asks what to do when the page is full.
func (p *pager) wait() error {
	const question = "-- space, q --"
	begin := ""
	if p.column > 0 {
		begin = "\n"
	}
	fmt.Fprint(p.out, begin+question)
	var key [16]byte // of a sequence, such as an arrow
	n, err := p.keys.Read(key[:])
	fmt.Fprintf(p.out, "\r%s\r", bytes.Repeat([]byte(" "), len(question)))
	switch {
	case err != nil:
		return errStopped
	case n > 0 && key[0] == 3:
		return context.Canceled
	case n > 0 && (key[0] == 'q' || key[0] == 'Q' || key[0] == 4 || n == 1 && key[0] == 27):
		return errStopped
	case n > 0 && (key[0] == '\r' || key[0] == '\n' || key[0] == 'j'):
		p.row, p.column = p.height-2, 0
	default:
		p.row, p.column = 0, 0
	}
	return nil
}

// rawKeys reads keys of a terminal, Ctrl-C among them.
type rawKeys struct{ terminal *os.File }

func (k *rawKeys) Read(b []byte) (int, error) {
	before, err := term.MakeRaw(int(k.terminal.Fd()))
	if err != nil {
		return 0, err
	}
	defer func() { _ = term.Restore(int(k.terminal.Fd()), before) }()
	return k.terminal.Read(b)
}
