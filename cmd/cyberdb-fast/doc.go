// Command cyberdb-fast is the server: tables that are Python dicts and lists, reached over TCP or a
// Unix socket.
//
// It needs no arguments. Settings come from flags, then the environment (CYBERDB_PASSWORD,
// CYBERDB_PASSWORD_FILE), then the file given with --config, then defaults. This package only fills
// the settings and wires: main.go is the story, config.go and configfile.go the settings,
// datadir.go the directory with what must outlive a restart, password.go and kdf.go what clients
// prove, banner.go the first lines on the screen, explain.go the errors of starting, signals.go
// what each signal does, logqueue.go the log, check.go the command that looks at files.
//
// Exit codes: 0 after an end in order, and after a check that found nothing, 1 if serving or
// stopping failed or a file is damaged, 2 if it could not start as it was told.
package main
