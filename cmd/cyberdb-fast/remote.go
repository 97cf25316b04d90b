package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"cyberdb-fast/client"
	"cyberdb-fast/cmd/cyberdb-fast/shell/views"
)

// remoteGroup are the commands that talk with a running server.
const remoteGroup = "Commands for a running server"

// remoteTimeout is how long a command waits for a connection, and for a reply.
const remoteTimeout = 5 * time.Second

// reconnectPause is the longest pause between attempts to connect to a server that has gone away.
const reconnectPause = 500 * time.Millisecond

// remote is a command that talks with a running server, and finds it.
type remote struct {
	ctx     context.Context // ends with Ctrl-C
	stop    func()          // lets Ctrl-C end the program again
	stdout  *os.File
	stderr  *os.File
	url     string // given, or in the environment; "": the server of dir
	dir     string
	named   bool   // dir is given, or in the environment
	shown   string // the server, as errors name it
	timeout time.Duration
	json    bool
	secret  string // the password, once open has found it
}

// remoteCommand describes a command that talks with a running server.
type remoteCommand struct {
	use         string // after the name, as in the help
	short, long string
	least, most int  // arguments, without the URL
	json        bool // has --json
	control     bool // uses the control socket: it takes no URL and has no time limit
	run         func(r *remote, args []string) error
}

// newRemoteCommand returns the command. What it returns is printed in one line.
func newRemoteCommand(c remoteCommand, stdout, stderr *os.File) *cobra.Command {
	r := &remote{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:                   c.use,
		Short:                 c.short,
		Long:                  c.long,
		GroupID:               remoteGroup,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     cobra.NoFileCompletions,
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		args = r.takeURL(args)
		if len(args) < c.least || len(args) > c.most {
			return usageOf(cmd)
		}
		if r.url != "" && c.control {
			return usageError(fmt.Errorf("%s goes by the control socket of the server, which has no URL: "+
				"name its data directory with --dir", cmd.Name()))
		}
		return nil
	}
	cmd.Flags().
		StringVar(&r.dir, "dir", firstOf(os.Getenv(variableOf("dir")), defaultDir), "data `directory` of the server")
	_ = cmd.RegisterFlagCompletionFunc("dir", cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
	if !c.control {
		cmd.Flags().
			DurationVar(&r.timeout, "timeout", remoteTimeout, "longest `time` for connecting, and for each request")
	}
	if c.json {
		cmd.Flags().BoolVar(&r.json, "json", false, "print JSON")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !c.control && r.timeout <= 0 {
			return usageError(errors.New("--timeout: needs a time above 0, such as 5s"))
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		r.ctx, r.stop = ctx, stop
		given := cmd.Flags().Changed("dir")
		if !c.control && !given && r.url == "" {
			r.url = os.Getenv("CYBERDB_URL")
		}
		r.named = given || os.Getenv(variableOf("dir")) != ""
		return c.run(r, r.takeURL(args))
	}
	return cmd
}

// firstOf returns the first text that is not empty.
func firstOf(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}

// takeURL returns the arguments without the URL, which is the first if it is given.
func (r *remote) takeURL(args []string) []string {
	if len(args) > 0 && strings.Contains(args[0], "://") {
		r.url = args[0]
		return args[1:]
	}
	return args
}

// open connects to the server. Errors say what to do.
func (r *remote) open() (*client.Client, error) {
	options := client.Options{
		Dial:        r.dial,
		DialTimeout: 2 * r.timeout, // the context ends first
		WaitTimeout: r.timeout,
		MaxBackoff:  reconnectPause,
		Conns:       1,
	}
	r.shown = withoutPassword(r.url)
	if r.url == "" {
		found, err := r.where()
		if err != nil {
			return nil, err
		}
		options.Addr, options.Encrypt = found.addr(), found.Encrypted
		r.shown = options.Addr
	}
	if err := r.findPassword(&options); err != nil {
		return nil, err
	}
	ctx, cancel := r.within()
	defer cancel()
	db, err := client.Open(ctx, r.url, &options)
	if err != nil {
		return nil, r.explainOpen(err)
	}
	r.secret = options.Password
	return db, nil
}

// findPassword sets the password: that of the URL, of the environment, or of the data directory.
func (r *remote) findPassword(o *client.Options) error {
	if u, err := url.Parse(r.url); r.url != "" && err == nil {
		if text, ok := u.User.Password(); ok {
			o.Password = text
			return nil
		}
	}
	var source passwordSource
	source.readEnv(os.LookupEnv)
	if source.env != (passwordLayer{}) {
		p, err := source.env.read("CYBERDB_PASSWORD", "CYBERDB_PASSWORD_FILE")
		o.Password = p.text
		return err
	}
	name := filepath.Join(r.dir, passwordFile)
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("no password: it is not in the URL, not in CYBERDB_PASSWORD or CYBERDB_PASSWORD_FILE, "+
			"and there is no %s; name the server's data directory with --dir", name)
	}
	p, err := readPasswordFile("password", name)
	o.Password = p.text
	return err
}

// withoutPassword returns a URL as it may be shown.
func withoutPassword(where string) string {
	u, err := url.Parse(where)
	if err != nil {
		if i := strings.LastIndexByte(where, '@'); i >= 0 {
			return where[i+1:]
		}
		return where
	}
	u.User = nil
	return u.String()
}

// within returns a context for one request.
func (r *remote) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.ctx, r.timeout)
}

// view opens the server and returns its views.
func (r *remote) view() (*views.View, error) {
	db, err := r.open()
	if err != nil {
		return nil, err
	}
	return &views.View{DB: db, Out: r.stdout, JSON: r.json, Timeout: r.timeout}, nil
}

// show opens the server, shows something and closes the connection. Ctrl-C is no error.
func (r *remote) show(view func(v *views.View) error) error {
	v, err := r.view()
	if err != nil {
		return err
	}
	defer v.DB.Close()
	if err := view(v); err != nil && r.ctx.Err() == nil {
		return errors.New(r.explain(err))
	}
	return nil
}
