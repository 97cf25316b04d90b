package shell

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/eval"
	"cyberdb-fast/cmd/cyberdb-fast/shell/views"
)

// dotCommand is a command of the shell that begins with a dot.
type dotCommand struct {
	name, arguments, help string
	most                  int // arguments
	run                   func(s *Shell, ctx context.Context, args []string) error
}

// dotCommands are in the order in which .help lists them. init breaks the circle with .help.
var dotCommands []dotCommand

func init() {
	dotCommands = []dotCommand{
		{".tables", "", "all tables", 0, paged((*views.View).Tables)},
		{".info", "[SECTION]", "the server's figures, or a section of INFO", 1, info},
		{".stat", "", "a line each second: operations, hits, memory, ...; Ctrl-C ends it", 0, stat},
		{".big", "", "the largest tables and entries", 0, paged((*views.View).Big)},
		{".hot", "", "the keys that are used most", 0, paged((*views.View).Hot)},
		{".latency", "", "the commands and how long they take", 0, paged((*views.View).Latency)},
		{".slow", "", "the slow requests, and large requests and replies", 0, paged((*views.View).Slow)},
		{".tail", "[TABLE] [--min-ms N]", "requests while they are executed; Ctrl-C ends it", 3, tail},
		{".locks", "", "the locks that are held", 0, paged((*views.View).Locks)},
		{".queues", "", "the lists that are used as queues", 0, paged((*views.View).Queues)},
		{".channels", "", "the channels that are subscribed to", 0, paged((*views.View).Channels)},
		{".save", "", "save the tables to the server's file now", 0, save},
		{".help", "[METHOD]", "this list, and the methods of tables", 1, help},
	}
}

// dot executes a dot command.
func (s *Shell) dot(ctx context.Context, line string) error {
	words := strings.Fields(line)
	for _, c := range dotCommands {
		if c.name != words[0] {
			continue
		}
		if len(words)-1 > c.most {
			return fmt.Errorf("usage: %s %s", c.name, c.arguments)
		}
		return c.run(s, ctx, words[1:])
	}
	return fmt.Errorf("no command %s: .help lists the commands", words[0])
}

// paged is a dot command that shows a view page by page.
func paged(show func(v *views.View, ctx context.Context) error) func(*Shell, context.Context, []string) error {
	return func(s *Shell, ctx context.Context, _ []string) error {
		return s.page(ctx, func(w io.Writer) error { return show(s.view(w), ctx) })
	}
}

func info(s *Shell, ctx context.Context, args []string) error {
	section := strings.Join(args, "")
	return s.page(ctx, func(w io.Writer) error { return s.view(w).Info(ctx, section) })
}

func stat(s *Shell, ctx context.Context, _ []string) error {
	return untilStopped(ctx, s.view(s.out).Stat(ctx, 0))
}

// untilStopped is the error of a view that Ctrl-C ends as it should.
func untilStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func tail(s *Shell, ctx context.Context, args []string) error {
	filter, err := tailFilter(args)
	if err != nil {
		return err
	}
	return untilStopped(ctx, s.view(s.out).Tail(ctx, filter))
}

func tailFilter(args []string) (filter views.TailFilter, err error) {
	for i := 0; i < len(args); i++ {
		number, given := strings.CutPrefix(args[i], "--min-ms=")
		if args[i] == "--min-ms" && i+1 < len(args) {
			i++
			number, given = args[i], true
		}
		if given {
			ms, err := strconv.ParseFloat(number, 64)
			if err != nil || !(ms >= 0 && ms <= 1e9) {
				return filter, fmt.Errorf("--min-ms takes a number of milliseconds, not %q", number)
			}
			filter.Least = time.Duration(ms * float64(time.Millisecond))
			continue
		}
		if strings.HasPrefix(args[i], "--") || filter.Table != "" {
			return filter, fmt.Errorf("usage: .tail [TABLE] [--min-ms N]")
		}
		filter.Table = args[i]
	}
	return filter, nil
}

// save has no time limit: a save takes as long as there is to write.
func save(s *Shell, ctx context.Context, _ []string) error {
	start := time.Now()
	if err := s.db.Save(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "saved in %.3f s\n", time.Since(start).Seconds())
	return nil
}

func help(s *Shell, ctx context.Context, args []string) error {
	return s.page(ctx, func(w io.Writer) error {
		if len(args) == 1 {
			return methodHelp(w, strings.Trim(args[0], ".()"))
		}
		fmt.Fprint(w, "Statements are Python's, executed in the server:\n")
		for _, example := range [][2]string{
			{`users = dict("users")`, "opens the dict, or creates it; list(...) likewise"},
			{`users["ada"] = {"age": 36}`, "sets a key; users[\"ada\"] reads it, del removes it"},
			{`"ada" in users`, "is there such a key; len(users)"},
			{`users.increment("n", 2)`, "methods are those of dict and list, and more"},
			{`queue[-3:]`, "slices of lists"},
			{`users`, "everything, page by page"},
		} {
			fmt.Fprintf(w, "  %-28s %s\n", example[0], example[1])
		}
		for _, kind := range []client.Kind{client.KindDict, client.KindList} {
			fmt.Fprintf(w, "Methods of a %s: %s\n", kind, strings.Join(eval.Methods(kind), " "))
		}
		fmt.Fprint(w, "Commands:\n")
		for _, c := range dotCommands {
			fmt.Fprintf(w, "  %-28s %s\n", c.name+" "+c.arguments, c.help)
		}
		fmt.Fprintf(w, "  %-28s %s\n", "exit", "ends the shell, as Ctrl-D does")
		return nil
	})
}

func methodHelp(w io.Writer, name string) error {
	found := false
	for _, kind := range []client.Kind{client.KindDict, client.KindList} {
		if signature, help, ok := eval.Describe(kind, name); ok {
			found = true
			fmt.Fprintf(w, "%s.%s(%s): %s\n", kind, name, signature, help)
		}
	}
	if !found {
		return fmt.Errorf("no method %s: .help lists the methods", name)
	}
	return nil
}
