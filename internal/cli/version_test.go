package cli

import (
	"runtime/debug"
	"testing"
)

// The version is what the go command recorded, for each way to build.
func TestVersion_BuildInfo(t *testing.T) {
	const hash = "a62403f1c6b09258c14b2a4c69a09056825353d3"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: hash}, {Key: "vcs.modified", Value: modified}}
	}
	for _, c := range []struct {
		how, version    string
		settings        []debug.BuildSetting
		wantV, wantHash string
	}{
		{"go build of a tag", "v0.2.0", vcs("false"), "v0.2.0", hash},
		{"go build of a clone", "v0.0.0-20261129200054-a62403f1c6b0", vcs("false"), "v0.0.0-20261129200054-a62403f1c6b0", hash},
		{"go build of a changed clone", "v0.2.1-0.20261129200054-a62403f1c6b0+dirty", vcs("true"), "v0.2.1-0.20261129200054-a62403f1c6b0+dirty", hash + ", modified"},
		{"go install of a version", "v0.2.0", nil, "v0.2.0", "unknown"},
		{"go install of a commit", "v0.2.1-0.20261129200054-a62403f1c6b0", nil, "v0.2.1-0.20261129200054-a62403f1c6b0", "a62403f1c6b0"},
		{"go install of a commit before any tag", "v0.0.0-20261129200054-a62403f1c6b0", nil, "v0.0.0-20261129200054-a62403f1c6b0", "a62403f1c6b0"},
		{"go run", "(devel)", nil, "devel", "unknown"},
		{"without modules", "", nil, "devel", "unknown"},
	} {
		v, commit := recordedBuild(&debug.BuildInfo{Main: debug.Module{Version: c.version}, Settings: c.settings})
		if v != c.wantV || commit != c.wantHash {
			t.Errorf("%s: %s, %s", c.how, v, commit)
		}
	}
	linkedVersion, linkedCommit = "v9", hash
	defer func() { linkedVersion, linkedCommit = "", "" }()
	if v, c := buildInfo(); v != "v9" || c != hash {
		t.Errorf("the linker's: %s, %s", v, c)
	}
}
