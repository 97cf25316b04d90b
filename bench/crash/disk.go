package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// disk is an ext4 in a file, mounted by a loop device. It can lose power: data that is not on disk
// then is lost.
type disk struct {
	image   string
	mounted string // directory; "" while it is not mounted
}

const (
	diskBytes = 256 << 20

	// FS_IOC_GOINGDOWN, in Linux's fs/ext4/ext4.h EXT4_IOC_SHUTDOWN, and its flag that drops the
	// file system's own journal, too.
	fsIocGoingDown  = 0x8004587d
	goingNoLogFlush = 2
)

// newDisk makes one and mounts it in a directory. Errors say what this machine lacks.
func newDisk(dir string) (*disk, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("mounting a disk needs root; this is user " + fmt.Sprint(os.Geteuid()))
	}
	d := &disk{image: filepath.Join(dir, "disk.ext4")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(d.image, diskBytes); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-F", d.image); err != nil {
		return nil, fmt.Errorf("make an ext4: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "disk"), 0o700); err != nil {
		return nil, err
	}
	d.mounted = filepath.Join(dir, "disk")
	if err := d.mount(); err != nil {
		return nil, fmt.Errorf(
			"mount an ext4 by a loop device (a container needs the devices /dev/loop* and CAP_SYS_ADMIN): %w",
			err,
		)
	}
	if err := d.cut(); err != nil {
		return nil, errors.Join(fmt.Errorf("cut its power: %w", err), d.unmount())
	}
	return d, d.remount()
}

func (d *disk) mount() error { return command("mount", "-t", "ext4", "-o", "loop", d.image, d.mounted) }

func (d *disk) unmount() error { return command("umount", d.mounted) }

func (d *disk) remount() error {
	if err := d.unmount(); err != nil {
		return err
	}
	return d.mount()
}

// cut cuts the power: nothing more is written, and unwritten data is lost.
func (d *disk) cut() error {
	f, err := os.Open(d.mounted)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), fsIocGoingDown, goingNoLogFlush); err != nil {
		return &os.PathError{Op: "FS_IOC_GOINGDOWN", Path: d.mounted, Err: err}
	}
	return nil
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
