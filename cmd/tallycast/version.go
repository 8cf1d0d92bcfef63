package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker (-X main.version=…), empty otherwise.
var (
	version string
	commit  string
)

func printVersion(p *process) int {
	v, c := build()
	fmt.Fprintf(p.stdout, "tallycast %s\ncommit    %s\ngo        %s %s/%s\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// build returns version and commit: the linker's, else what the module and
// version control say.
func build() (v, c string) {
	v, c = version, commit
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if v == "" {
		v = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && c == "" {
			c = setting.Value
		}
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}
