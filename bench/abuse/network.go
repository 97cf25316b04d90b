package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Addresses of other machines in the campaign's own network: three of an IPv4 network, two of one
// IPv6 network and one of another. RFC 5737 and RFC 3849 reserve them for documentation.
var (
	strangers4     = []string{"192.0.2.7", "192.0.2.8", "192.0.2.200"}
	strangers6     = []string{"2001:db8:1::7", "2001:db8:1::8"}
	stranger6Apart = "2001:db8:2::7"
)

const ownNetworkEnv = "CYBERDB_ABUSE_NETWORK"

func inOwnNetwork() bool { return os.Getenv(ownNetworkEnv) != "" }

// inNewNetwork runs this command again, with the same seed, in a new network namespace, and returns
// its exit code.
//
// Errors: the kernel's, if it does not permit one.
func inNewNetwork(seed uint64) (int, error) {
	id := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	group := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	var failures []error
	for _, attr := range []syscall.SysProcAttr{
		{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL},
		{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
			UidMappings: id, GidMappings: group,
			Pdeathsig: unix.SIGKILL,
		},
	} {
		cmd := exec.Command("/proc/self/exe", append(os.Args[1:], "-seed", strconv.FormatUint(seed, 10))...)
		cmd.Env = append(os.Environ(), ownNetworkEnv+"=own")
		cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, &attr
		if err := cmd.Start(); err != nil {
			failures = append(failures, err)
			continue
		}
		return exitCode(cmd.Wait())
	}
	return 0, errors.Join(failures...)
}

// furnish adds the addresses of this machine and of the remote clients to the network.
func furnish() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	up, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	up.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		return fmt.Errorf("the loopback interface: %w", err)
	}
	for i, text := range strangers4 {
		alias, err := unix.NewIfreq(fmt.Sprintf("lo:%d", i+1))
		if err != nil {
			return err
		}
		addr := netip.MustParseAddr(text).As4()
		if err := alias.SetInet4Addr(addr[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFADDR, alias); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	for _, text := range append([]string{stranger6Apart}, strangers6...) {
		if err := addIPv6(netip.MustParseAddr(text)); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	return nil
}

// addIPv6 gives the loopback interface an address. Source: struct in6_ifreq, netdevice(7) and
// ipv6(7).
func addIPv6(addr netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	request := struct {
		addr      [16]byte
		prefixLen uint32
		ifIndex   int32
	}{addr.As16(), 128, 1} // the loopback interface is number 1 of each network
	if _, _, errno := unix.Syscall(
		unix.SYS_IOCTL,
		uintptr(fd),
		unix.SIOCSIFADDR,
		uintptr(unsafe.Pointer(&request)),
	); errno != 0 {
		return errno
	}
	return nil
}
