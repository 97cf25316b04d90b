// Package harness runs real servers in processes of their own, for campaigns and tests that drive a
// server from outside.
//
//	config := harness.Config{Binary: "bin/cyberdb-fast", Dir: dir, Password: password}
//	server, err := harness.Start(config, 30*time.Second)
//	...
//	err = server.Stop(30 * time.Second)
//
// server.go starts a server, tells it to end and waits for that; watch.go reads what the process
// uses; streams.go and terminal.go make what a server can be started on: a pipe that nothing reads,
// a terminal; stall.go connects a client that keeps a server from ending.
//
// A server ends, by SIGKILL, with the process that has started it. All methods of a Server may be
// called by several goroutines.
package harness
