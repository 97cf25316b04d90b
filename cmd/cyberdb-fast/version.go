package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a release; the build sets it (-ldflags "-X main.release=...").
var release string

// version returns the version of the release, or otherwise of the module, with the commit that it
// was built from if that is known.
func version() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case release != "":
		return release
	case !ok || info.Main.Version == "":
		return "(devel)"
	}
	return info.Main.Version
}

func versionLine() string {
	return fmt.Sprintf("cyberdb-fast %s (%s, %s/%s)", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
