// Package harness runs real servers in their own processes, for campaigns and tests that drive a
// server from outside.
//
//	config := harness.Config{Binary: "bin/cyberdb-fast", Dir: dir, Password: password}
//	server, err := harness.Start(config, 30*time.Second)
//	...
//	err = server.Stop(30 * time.Second)
//
// server.go starts and stops a server; watch.go reads the resources of its process; streams.go and
// terminal.go make streams for it: a pipe that nothing reads, a terminal; stall.go connects a
// client that delays the server's shutdown.
//
// A server ends, by SIGKILL, with the process that started it. The methods of a Server are safe for
// concurrent use.
package harness
