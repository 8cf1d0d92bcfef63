package cli

import (
	"cmp"
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
)

// linkedVersion and linkedCommit are set by the linker in releases, and empty in other builds.
// [Main] sets them before anything else runs.
var linkedVersion, linkedCommit string

func printVersion(p *process) error {
	v, c := buildInfo()
	if c == "unknown" {
		c += " (go build records it; go run does so with -buildvcs=true)"
	}
	fmt.Fprintf(p.stdout, "tallycast %s\ncommit    %s\ngo        %s %s/%s\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}

// buildInfo returns version and commit as the linker set them, else as the go command recorded them.
func buildInfo() (v, c string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	v, c = recordedBuild(info)
	return cmp.Or(linkedVersion, v), cmp.Or(linkedCommit, c)
}

// pseudoVersion matches a version that Go makes of a commit; it ends in the commit's hash.
var pseudoVersion = regexp.MustCompile(`[-.]\d{14}-([0-9a-f]{12})(?:\+.*)?$`)

// recordedBuild returns version and commit as the go command recorded them. go build and go
// install in a clone record both, go install of a version records the version, and go run
// in a clone records neither without -buildvcs=true.
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
