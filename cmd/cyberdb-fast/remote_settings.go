package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// newSettingsCommands returns the commands that change settings of a running server.
func newSettingsCommands(stdout, stderr *os.File) []*cobra.Command {
	configure := newRemoteCommand(remoteCommand{
		use:   "configure SETTING=VALUE...",
		short: "Change settings while the server runs",
		long: `Changes settings of the server of the data directory until it ends: slow-request, large-request,
large-reply, log-level and others that can change while it runs. The names are those of the flags.`,
		least: 1, most: 100, control: true,
		run: func(r *remote, args []string) error {
			settings := make(map[string]string)
			for _, arg := range args {
				name, val, ok := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
				if _, twice := settings[name]; !ok || name == "" || twice {
					return usageError(
						fmt.Errorf("%q: write each setting once, as SETTING=VALUE: slow-request=5ms", arg),
					)
				}
				settings[name] = val
			}
			return r.settings(map[string]any{"do": "configure", "settings": settings})
		},
	}, stdout, stderr)
	configure.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var choices []string
		for _, name := range liveSettings {
			choices = append(choices, name+"=")
		}
		return choices, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	reload := newRemoteCommand(remoteCommand{
		use:   "reload",
		short: "Have the server read its configuration and password files again",
		long: `Has the server of the data directory read its configuration file and its password file again, as
SIGHUP does. A file with errors changes nothing.`,
		control: true,
		run:     func(r *remote, _ []string) error { return r.settings(map[string]any{"do": "reload"}) },
	}, stdout, stderr)
	return []*cobra.Command{configure, reload}
}

// settings asks for a change of settings, and says what has changed.
func (r *remote) settings(request map[string]any) error {
	answer, err := r.ask(request)
	if err != nil {
		return err
	}
	for _, line := range answer.Changed {
		fmt.Fprintln(r.stdout, line)
	}
	for _, line := range answer.Restart {
		fmt.Fprintf(r.stdout, "after a restart: %s\n", line)
	}
	if len(answer.Changed)+len(answer.Restart) == 0 {
		fmt.Fprintln(r.stdout, "nothing has changed")
	}
	return nil
}
