package bench

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errNotLocal is returned if no process of this machine listens at the target, or if its /proc
// files are not readable.
var errNotLocal = errors.New("no process of this machine listens there")

// usage is what a process has used.
type usage struct {
	cpu time.Duration // user and system time, in steps of 10 ms
	rss int64         // resident bytes
}

// processUsage reads /proc/PID/stat (proc_pid_stat(5)).
func processUsage(pid int) (usage, error) {
	const (
		utime, stime, rss = 14, 15, 24 // numbers of the fields, from 1
		afterName         = 3          // number of the first field after the name
		ticksPerSecond    = 100        // USER_HZ
	)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	nameEnd := bytes.LastIndexByte(text, ')') // the name may hold spaces and parentheses
	fields := strings.Fields(string(text[nameEnd+1:]))
	if len(fields) <= rss-afterName {
		return usage{}, fmt.Errorf("process %d: /proc/%d/stat has %d fields", pid, pid, len(fields))
	}
	var values [3]int64
	for i, number := range []int{utime, stime, rss} {
		if values[i], err = strconv.ParseInt(fields[number-afterName], 10, 64); err != nil {
			return usage{}, fmt.Errorf("process %d: %w", pid, err)
		}
	}
	return usage{
		cpu: time.Duration(values[0]+values[1]) * (time.Second / ticksPerSecond),
		rss: values[2] * int64(os.Getpagesize()),
	}, nil
}

// serverProcess returns the process that listens at the target. Errors: errNotLocal, also if its
// descriptors are not readable.
func serverProcess(t Target) (pid int, err error) {
	var inodes []string
	if t.Network == "unix" {
		inodes, err = unixListeners(t.Address)
	} else {
		inodes, err = tcpListeners(t.Address)
	}
	if err != nil {
		return 0, err
	}
	if len(inodes) == 0 {
		return 0, errNotLocal
	}
	return socketOwner(inodes)
}

// socketOwner returns the lowest process id that holds one of the sockets.
func socketOwner(inodes []string) (int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, fmt.Errorf("list of descriptors: %w", err)
	}
	owner := 0
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		if err != nil || !isSocket || !slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
			continue // closed meanwhile, or another
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && (owner == 0 || pid < owner) {
			owner = pid
		}
	}
	if owner == 0 {
		return 0, errNotLocal
	}
	return owner, nil
}

// tcpListeners returns the inodes of the sockets that listen at the address, if it is one of this
// machine.
func tcpListeners(address string) ([]string, error) {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	if !isLocal(addr.IP) {
		return nil, errNotLocal
	}
	const listening = "0A"
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		err := eachRow(table, func(fields []string) {
			if len(fields) < 10 || fields[3] != listening {
				return
			}
			ip, port, ok := parseEndpoint(fields[1])
			if ok && port == addr.Port && (ip.IsUnspecified() || ip.Equal(addr.IP)) {
				inodes = append(inodes, fields[9])
			}
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) { // without IPv6 there is no tcp6
			return nil, err
		}
	}
	return inodes, nil
}

// isLocal says whether the address is one of this machine's.
func isLocal(ip net.IP) bool {
	if ip.IsLoopback() || ip.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
		network, ok := a.(*net.IPNet)
		return ok && network.IP.Equal(ip)
	})
}

// parseEndpoint reads "0100007F:26FC": an address as 32-bit words in the machine's order
// (little-endian), and a port.
func parseEndpoint(text string) (ip net.IP, port int, ok bool) {
	hexIP, hexPort, _ := strings.Cut(text, ":")
	words, err := hex.DecodeString(hexIP)
	number, err2 := strconv.ParseUint(hexPort, 16, 16)
	if err != nil || err2 != nil || (len(words) != net.IPv4len && len(words) != net.IPv6len) {
		return nil, 0, false
	}
	for at := 0; at < len(words); at += 4 {
		slices.Reverse(words[at : at+4])
	}
	return words, int(number), true
}

// unixListeners returns the inodes of the sockets that listen at the path.
func unixListeners(path string) ([]string, error) {
	const listening = "00010000"
	var inodes []string
	err := eachRow("/proc/net/unix", func(fields []string) {
		if len(fields) == 8 && fields[3] == listening && fields[7] == path {
			inodes = append(inodes, fields[6])
		}
	})
	return inodes, err
}

func eachRow(path string, use func(fields []string)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sockets: %w", err)
	}
	defer file.Close()
	rows := bufio.NewScanner(file)
	for rows.Scan() {
		use(strings.Fields(rows.Text()))
	}
	return rows.Err()
}
