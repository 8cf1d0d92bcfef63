package main

import (
	"fmt"
	"regexp"
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
	if c == "unknown" {
		c += " (go build records it; go run does so with -buildvcs=true)"
	}
	fmt.Fprintf(p.stdout, "tallycast %s\ncommit    %s\ngo        %s %s/%s\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// build returns version and commit: the linker's, else those of the build info.
func build() (v, c string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	v, c = recordedBuild(info)
	if version != "" {
		v = version
	}
	if commit != "" {
		c = commit
	}
	return v, c
}

// pseudoVersion is a version that Go makes of a commit: its end is the commit's hash.
var pseudoVersion = regexp.MustCompile(`[-.]\d{14}-([0-9a-f]{12})(?:\+.*)?$`)

// recordedBuild returns version and commit as the go command recorded them: go build and
// go install in a clone record both, go install of a version at least that version, and
// go run of a clone neither unless it is given -buildvcs=true.
func recordedBuild(info *debug.BuildInfo) (v, c string) {
	v, c = info.Main.Version, ""
	modified := false
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			c = setting.Value
		case "vcs.modified":
			modified = setting.Value == "true"
		}
	}
	if m := pseudoVersion.FindStringSubmatch(v); c == "" && m != nil {
		c = m[1]
	}
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	switch {
	case c == "":
		c = "unknown"
	case modified:
		c += ", modified"
	}
	return v, c
}
