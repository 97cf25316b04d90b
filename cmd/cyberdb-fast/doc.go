// Command cyberdb-fast is the server. It serves tables that are Python dicts and lists over TCP and
// a Unix socket.
//
// It needs no arguments. Settings come from flags, then the environment (CYBERDB_ and the name of
// the flag), then the file given with --config, then defaults. This package only reads the settings
// and wires the server. Start with main.go, which runs the commands that commands.go lists: the
// server itself in server.go, and those for files in check.go, export.go and import.go. man.go
// makes the manual page. The settings are in config.go, flags.go, environment.go and configfile.go,
// the data directory in datadir.go, the password in password.go, the first lines on the screen in
// banner.go, the errors of starting in explain.go, the signals in signals.go, changes of settings
// in reload.go, what systemd is told in notify.go, the log in logqueue.go, and the HTTP server in
// http.go.
//
// The commands for a running server are in remote.go, which finds it, and in the other files whose
// names begin with remote_; package shell has the shell of `cyberdb-fast cli`.
//
// Exit codes: 0 after a clean shutdown, and after a check that found no damage; 1 if serving or
// stopping failed, or a file is damaged; 2 if the server could not start with these settings.
package main
