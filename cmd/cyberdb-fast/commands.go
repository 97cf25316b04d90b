package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The groups of commands, in the order in which --help shows them.
const (
	filesGroup = "Commands for files"
	otherGroup = "Other commands"
)

// newRoot returns the command: without a subcommand it is the server.
func newRoot(server *server, stdout, stderr *os.File) *cobra.Command {
	root := &cobra.Command{
		Use:               "cyberdb-fast",
		Args:              noCommand,
		RunE:              func(*cobra.Command, []string) error { return server.run() },
		ValidArgsFunction: cobra.NoFileCompletions,
		// main prints errors
		SilenceErrors: true,
		SilenceUsage:  true,
		// how many letters of an unknown command may differ from those of one that is suggested
		SuggestionsMinimumDistance: 2,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.Flags().AddFlagSet(server.flags.FlagSet)
	completeFlags(root)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd == root {
			return usageError(fmt.Errorf("%w; --help lists the flags", err))
		}
		return usageError(fmt.Errorf("%s; usage: %s", flagProblem(err), cmd.UseLine()))
	})
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		text := commandHelp(cmd)
		if cmd == root {
			text = server.flags.usage(root)
		}
		_, _ = io.WriteString(stdout, text)
	})
	for _, title := range []string{remoteGroup, filesGroup, otherGroup} {
		root.AddGroup(&cobra.Group{ID: title, Title: title})
	}
	root.AddCommand(newCheckCommand(stdout, stderr), newExportCommand(stdout, stderr), newImportCommand(stdout, stderr))
	root.AddCommand(newVersionCommand(stdout), newManCommand(server.flags, stdout))
	root.AddCommand(newCLICommand(stdout, stderr), newPingCommand(stdout, stderr))
	root.AddCommand(newLookCommands(stdout, stderr)...)
	root.AddCommand(newItemCommands(stdout, stderr)...)
	root.AddCommand(newFileCommands(stdout, stderr)...)
	root.AddCommand(newSettingsCommands(stdout, stderr)...)
	root.SetHelpCommand(newHelpCommand())
	root.SetHelpCommandGroupID(otherGroup)
	root.SetCompletionCommandGroupID(otherGroup)
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			checkShell(cmd)
		}
	}
	return root
}

// checkShell lets cobra's command for completions refuse other shells. Without a shell it prints
// its help.
func checkShell(completion *cobra.Command) {
	completion.Use = "completion bash|zsh|fish"
	completion.Short = "Print the completions of a shell"
	completion.DisableFlagsInUseLine = true
	completion.Args = cobra.ArbitraryArgs
	completion.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageOf(cmd)
		}
		return cmd.Help()
	}
	for _, shell := range completion.Commands() {
		shell.Hidden = shell.Name() == "powershell"
	}
}

// noCommand refuses what is neither a command nor a flag, and names commands that are meant
// perhaps.
func noCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	near := root.SuggestionsFor(args[0])
	if len(near) == 0 {
		return usageError(fmt.Errorf(
			"unexpected argument %q: it is no command, and all settings are flags; --help lists both", args[0],
		))
	}
	return usageError(fmt.Errorf(
		"unexpected argument %q: did you mean %s? --help lists the commands", args[0], strings.Join(near, " or "),
	))
}

// usageOf is the error of a command that is used wrongly.
func usageOf(cmd *cobra.Command) error { return usageError(errors.New("usage: " + cmd.UseLine())) }

// flagProblem says what is wrong with a flag, without the words of the function that has read it.
func flagProblem(err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		placeholder, _ := pflag.UnquoteUsage(flag)
		return fmt.Sprintf("--%s %s: it is no %s", flag.Name, invalid.GetValue(), placeholder)
	}
	return err.Error()
}

// arguments lets a command have from least to most arguments.
func arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usageOf(cmd)
		}
		return nil
	}
}

func newVersionCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:                   "version",
		Short:                 "Print the version",
		GroupID:               otherGroup,
		DisableFlagsInUseLine: true,
		Args:                  arguments(0, 0),
		ValidArgsFunction:     cobra.NoFileCompletions,
		Run:                   func(*cobra.Command, []string) { fmt.Fprintln(stdout, versionLine()) },
	}
}

func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:                   "help [COMMAND]",
		Short:                 "Print the help of a command",
		DisableFlagsInUseLine: true,
		ValidArgsFunction: func(help *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, cmd := range help.Root().Commands() {
				if len(args) == 0 && cmd.IsAvailableCommand() {
					names = append(names, cmd.Name()+"\t"+cmd.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(help *cobra.Command, args []string) error {
			cmd, rest, err := help.Root().Find(args)
			if err != nil {
				return err
			}
			if err := noCommand(help.Root(), rest); err != nil {
				return err
			}
			return cmd.Help()
		},
	}
}

// commandHelp returns the help of a subcommand.
func commandHelp(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n", cmd.UseLine())
	text := cmd.Long
	if text == "" && cmd.Short != "" {
		text = cmd.Short + "."
	}
	if text != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(text))
	}
	if names := commandList(cmd, ""); names != "" {
		fmt.Fprintf(&b, "\nCommands:\n%s", names)
	}
	fmt.Fprintf(&b, "\nFlags:\n%s", flagUsages(cmd.LocalFlags()))
	return b.String()
}

// commandList returns a line for each subcommand of a group.
func commandList(cmd *cobra.Command, group string) string {
	var b strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.GroupID == group && sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-12s%s\n", sub.Name(), sub.Short)
		}
	}
	return b.String()
}

// chooser is the value of a flag that has few values.
type chooser interface{ choices() []string }

// completeFlags says what shells complete for the values of the server's flags.
func completeFlags(root *cobra.Command) {
	root.Flags().VisitAll(func(flag *pflag.Flag) {
		complete := cobra.NoFileCompletions
		switch placeholder, _ := pflag.UnquoteUsage(flag); placeholder {
		case "file", "path":
			return // shells complete files
		case "directory":
			complete = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		}
		if value, few := flag.Value.(chooser); few {
			complete = cobra.FixedCompletions(value.choices(), cobra.ShellCompDirectiveNoFileComp)
		}
		_ = root.RegisterFlagCompletionFunc(flag.Name, complete) // fails for a flag that has one
	})
}
