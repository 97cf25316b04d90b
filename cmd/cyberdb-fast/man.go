package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCommand returns the command that prints the manual page, made of the commands and flags.
func newManCommand(flags *flagSet, stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:                   "man",
		Short:                 "Print the manual page: cyberdb-fast man | man -l -",
		GroupID:               otherGroup,
		DisableFlagsInUseLine: true,
		Args:                  arguments(0, 0),
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(stdout, manualPage(cmd.Root(), flags))
			return err
		},
	}
}

// manualPage returns the manual page in the format of man(7).
func manualPage(root *cobra.Command, flags *flagSet) string {
	var p page
	p.macro(".TH", "CYBERDB-FAST", "1", "", "cyberdb-fast "+version())
	p.macro(".nh") // names stay whole
	p.macro(".ad l")
	p.macro(".SH", "NAME")
	p.text("cyberdb-fast - server of Python dicts and lists")
	p.macro(".SH", "SYNOPSIS")
	p.text("cyberdb-fast [flags]")
	p.macro(".br")
	p.text("cyberdb-fast COMMAND ...")
	p.macro(".SH", "DESCRIPTION")
	p.text("Without a command, serves tables that are Python dicts and lists. All flags are optional. " +
		"They override the environment, which overrides the file of --config.")
	for _, group := range root.Groups() {
		p.macro(".SH", strings.ToUpper(group.Title))
		for _, cmd := range root.Commands() {
			if cmd.GroupID == group.ID && cmd.IsAvailableCommand() {
				p.entry(cmd.UseLine(), strings.TrimRight(cmd.Short, ".")+".")
			}
		}
	}
	p.macro(".SH", "OPTIONS")
	for _, group := range flags.groups {
		p.macro(".SS", group.title)
		group.flags.VisitAll(func(flag *pflag.Flag) { p.entry(manualFlag(flag)) })
	}
	p.macro(".SH", "ENVIRONMENT")
	for _, v := range variables {
		p.entry(v.name, v.meaning+".")
	}
	p.macro(".SH", "EXIT STATUS")
	p.entry("0", "It is done; the server has stopped in order.")
	p.entry("1", "Serving, stopping or the command failed.")
	p.entry("2", "The arguments or settings are wrong, or the server could not start.")
	return p.String()
}

// manualFlag returns how a flag is written, and what it means.
func manualFlag(flag *pflag.Flag) (written, meaning string) {
	placeholder, usage := pflag.UnquoteUsage(flag)
	written = "--" + flag.Name
	if flag.Shorthand != "" {
		written = "-" + flag.Shorthand + ", " + written
	}
	if placeholder != "" && flag.NoOptDefVal == "" {
		written += " " + placeholder
	}
	meaning = usage + "."
	if flag.NoOptDefVal == "" && flag.DefValue != "" {
		meaning += " Default: " + flag.DefValue + "."
	}
	if variable := variableOf(flag.Name); variable != "" {
		meaning += " Environment: " + variable + "."
	}
	return written, meaning
}

// page is a manual page that is being written.
type page struct{ strings.Builder }

// roffText escapes what roff would interpret. A hyphen is one that can be copied.
var roffText = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`)

func (p *page) macro(name string, args ...string) {
	p.WriteString(name)
	for _, arg := range args {
		fmt.Fprintf(p, " \"%s\"", roffText.Replace(arg))
	}
	p.WriteByte('\n')
}

// text writes a paragraph.
func (p *page) text(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		p.WriteString(`\&`) // it is no macro
	}
	fmt.Fprintf(p, "%s\n", roffText.Replace(text))
}

func (p *page) entry(term, meaning string) {
	p.macro(".TP")
	fmt.Fprintf(p, "\\fB%s\\fR\n", roffText.Replace(term))
	p.text(meaning)
}
