package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Usage is the resources of a server, as the kernel reports them.
type Usage struct {
	Descriptors int
	Resident    int64 // bytes
	Peak        int64 // bytes; the highest so far
}

// Usage reads /proc/PID/fd and /proc/PID/status (proc(5)). Errors: the server has ended.
func (s *Server) Usage() (u Usage, err error) {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID()))
	if err != nil {
		return u, err
	}
	u.Descriptors = len(files)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(status)) {
		for name, to := range map[string]*int64{"VmRSS:": &u.Resident, "VmHWM:": &u.Peak} {
			rest, found := strings.CutPrefix(line, name)
			if !found {
				continue
			}
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return u, err
			}
			*to = kib << 10
		}
	}
	return u, nil
}

// ForgetPeak resets Usage.Peak: clear_refs of proc(5). If the kernel does not permit that, the peak
// stays.
func (s *Server) ForgetPeak() {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.PID()), []byte("5"), 0)
}
