package bench

import (
	"bufio"
	"fmt"
	"io"

	"github.com/bytedance/sonic"
)

// Results are the lines of a file that --out made.
type Results struct {
	Runs   []*Report
	Loads  []*LoadReport
	Idles  []*IdleReport
	Python []*PythonRun
}

// ReadResults reads lines of JSON, each a Report, LoadReport, IdleReport or PythonRun, and
// appends them. Errors: of reader; a line that is none of these, by its number.
func (r *Results) ReadResults(reader io.Reader) error {
	const longestLine = 16 << 20
	lines := bufio.NewScanner(reader)
	lines.Buffer(nil, longestLine)
	for number := 1; lines.Scan(); number++ {
		if err := r.add(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return lines.Err()
}

func (r *Results) add(line []byte) error {
	var kind struct {
		Run    *float64 `json:"ops_per_s"`
		Load   *float64 `json:"bytes_per_entry"`
		Idle   *float64 `json:"bytes_per_connection"`
		Python *float64 `json:"calls_per_s"`
	}
	if err := sonic.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch {
	case kind.Run != nil:
		return appendParsed(&r.Runs, line)
	case kind.Load != nil:
		return appendParsed(&r.Loads, line)
	case kind.Idle != nil:
		return appendParsed(&r.Idles, line)
	case kind.Python != nil:
		return appendParsed(&r.Python, line)
	}
	return fmt.Errorf("neither a run nor a memory figure: %.60q", line)
}

func appendParsed[T any](all *[]*T, line []byte) error {
	one := new(T)
	if err := sonic.Unmarshal(line, one); err != nil {
		return err
	}
	*all = append(*all, one)
	return nil
}
