package bench

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Machine says where and with what a run was made.
type Machine struct {
	Processor string  `json:"processor"`
	CPUs      int     `json:"cpus"`
	MemoryGiB float64 `json:"memory_gib"`
	Kernel    string  `json:"kernel"`
	Go        string  `json:"go"`
	Commit    string  `json:"commit,omitempty"` // of this program; a "+" at its end: with changes
}

// ThisMachine describes this machine and this program.
var ThisMachine = sync.OnceValue(func() Machine {
	var name unix.Utsname
	kernel := ""
	if err := unix.Uname(&name); err == nil {
		kernel = string(
			bytes.TrimRight(name.Sysname[:], "\x00"),
		) + " " + string(
			bytes.TrimRight(name.Release[:], "\x00"),
		)
	}
	// 0 if unknown
	kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(firstField("/proc/meminfo", "MemTotal"), " kB"), 64)
	return Machine{
		Processor: firstField("/proc/cpuinfo", "model name"),
		CPUs:      runtime.NumCPU(),
		MemoryGiB: rounded(kilobytes/(1<<20), 10),
		Kernel:    kernel,
		Go:        runtime.Version(),
		Commit:    commit(),
	}
})

// firstField returns the value of the first "name : value" in a file, "" if there is none.
func firstField(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commit returns the revision from which this program was built, "" outside a checkout.
func commit() string {
	const digits = 12
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, changed := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value[:min(digits, len(setting.Value))]
		case setting.Key == "vcs.modified" && setting.Value == "true":
			changed = "+"
		}
	}
	return revision + changed
}
