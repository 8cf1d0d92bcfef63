package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// flyConfiguration is the part of fly.toml that the tests read. Another name in the file is
// an error.
type flyConfiguration struct {
	App           string `toml:"app"`
	PrimaryRegion string `toml:"primary_region"`
	KillSignal    string `toml:"kill_signal"`
	KillTimeout   int    `toml:"kill_timeout"` // seconds
	Build         struct {
		Dockerfile string `toml:"dockerfile"`
		Ignorefile string `toml:"ignorefile"`
	} `toml:"build"`
	Deploy struct {
		Strategy string `toml:"strategy"`
	} `toml:"deploy"`
	Env     map[string]string `toml:"env"`
	Service struct {
		InternalPort int    `toml:"internal_port"`
		ForceHTTPS   bool   `toml:"force_https"`
		AutoStop     string `toml:"auto_stop_machines"`
		AutoStart    bool   `toml:"auto_start_machines"`
		MinRunning   int    `toml:"min_machines_running"`
		Concurrency  struct {
			Type string `toml:"type"`
			Soft int    `toml:"soft_limit"`
			Hard int    `toml:"hard_limit"`
		} `toml:"concurrency"`
		Checks []struct {
			Method, Path, Interval, Timeout string
			GracePeriod                     string `toml:"grace_period"`
		} `toml:"checks"`
	} `toml:"http_service"`
	VM []struct{ Size, Memory string } `toml:"vm"`
}

func readFly(t *testing.T) (c flyConfiguration) {
	t.Helper()
	file, err := os.Open("fly/fly.toml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := toml.NewDecoder(file).DisallowUnknownFields().Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// settings are the variables that are settings of tallycast.
func (c flyConfiguration) settings() (env []string) {
	for name, value := range c.Env {
		if strings.HasPrefix(name, "TALLYCAST_") {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// litestreamTimeouts are the timeouts of litestream.yml.
func litestreamTimeouts(t *testing.T) (shutdown, lastSync time.Duration) {
	t.Helper()
	text, err := os.ReadFile("litestream/litestream.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Shutdown string `yaml:"shutdown-timeout"`
		Sync     string `yaml:"shutdown-sync-timeout"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if shutdown, err = time.ParseDuration(file.Shutdown); err == nil {
		lastSync, err = time.ParseDuration(file.Sync)
	}
	if err != nil {
		t.Fatal(err)
	}
	return shutdown, lastSync
}

// tallycast accepts the settings of fly.toml. Litestream, and then Fly.io, wait long enough for
// the drain, for requests in flight, and for the upload of the last changes.
func TestFly_Settings(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	env := c.settings()
	if out := checkConfig(t, env); !strings.Contains(out, fmt.Sprintf(":%d", c.Service.InternalPort)) {
		t.Errorf("tallycast does not listen on port %d:\n%s", c.Service.InternalPort, out)
	}
	drain, err := time.ParseDuration(value(env, "TALLYCAST_DRAIN"))
	if err != nil {
		t.Fatal(err)
	}
	const finishing = 10 * time.Second // requests in flight after the drain
	shutdown, lastSync := litestreamTimeouts(t)
	if needed := drain + finishing + lastSync; shutdown < needed {
		t.Errorf("Litestream ends after %s and needs %s", shutdown, needed)
	}
	if given := time.Duration(c.KillTimeout) * time.Second; given < shutdown+10*time.Second || given > 5*time.Minute {
		t.Errorf("Fly.io kills the Machine after %s; Litestream takes %s, and Fly.io waits for 5 minutes at most", given, shutdown)
	}
	if c.KillSignal != "SIGTERM" || c.Deploy.Strategy != "rolling" || c.Service.AutoStop == "suspend" {
		t.Errorf("signal %s, strategy %s, autostop %s", c.KillSignal, c.Deploy.Strategy, c.Service.AutoStop)
	}
	if url := c.Env["LITESTREAM_REPLICA_URL"]; !strings.HasPrefix(url, "s3://") {
		t.Errorf("the replica is at %s", url)
	}
	for _, path := range []string{c.Build.Dockerfile, c.Build.Ignorefile} {
		if _, err := os.Stat(filepath.Join("fly", path)); err != nil {
			t.Error(err)
		}
	}
}

// An instance with the settings of fly.toml answers the health check, and takes a client's
// address from a header as Fly.io writes it: the client's address, then one of the app's.
func TestFly_HealthCheckAndClientAddress(t *testing.T) {
	t.Parallel()
	c := readFly(t)
	i := processtest.Serve(t, binary, c.settings())
	i.AwaitReady()
	for _, check := range c.Service.Checks {
		if status, body := processtest.Get(i.URL + check.Path); status != http.StatusOK || check.Method != "GET" {
			t.Errorf("%+v: %d %s", check, status, body)
		}
	}
	proxies := strings.Split(c.Env["TALLYCAST_TRUSTED_PROXY"], ",")
	for n, app := range proxies[1:] { // the first is private
		for visitor := range 2 {
			header := fmt.Sprintf("198.51.100.%d, %s", 1+2*n+visitor, app)
			if status, count := like(t, client, i.URL, "default/likes/post", "", "X-Forwarded-For", header); status != http.StatusOK || count != 1+2*n+visitor {
				t.Errorf("%s: %d, count %d", header, status, count)
			}
		}
	}
}

// instructions are the instructions that our Dockerfiles use.
var instructions = []string{"FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}

// stageName is the name of a build stage.
var stageName = regexp.MustCompile(`(?i) AS (\w+)$`)

// Each Dockerfile has known instructions only, copies files that exist from stages that
// exist, and runs a program of the image.
func TestDockerfiles_Syntax(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/Dockerfile*")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("Dockerfile*")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range append(files, own...) {
		if strings.HasSuffix(path, ".dockerignore") {
			continue
		}
		checked++
		t.Run(path, func(t *testing.T) { checkDockerfile(t, path) })
	}
	if checked < 2 {
		t.Errorf("%d Dockerfiles", checked)
	}
}

func checkDockerfile(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var stages, programs []string
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		if !slices.Contains(instructions, instruction) {
			t.Errorf("%s: unknown instruction", line)
		}
		if len(stages) == 0 && instruction != "FROM" && instruction != "ARG" {
			t.Errorf("%s: before FROM", line)
		}
		switch instruction {
		case "FROM":
			name := ""
			if found := stageName.FindStringSubmatch(line); found != nil {
				name = found[1]
			}
			stages = append(stages, name)
		case "COPY":
			programs = append(programs, checkCopy(t, rest, stages)...)
		case "EXPOSE":
			if rest != "8080" {
				t.Errorf("%s: tallycast listens on 8080", line)
			}
		case "HEALTHCHECK", "ENTRYPOINT", "CMD":
			var command []string
			start := strings.Index(rest, "[")
			if start < 0 {
				t.Fatalf("%s: no list of words", line)
			}
			if err := json.Unmarshal([]byte(rest[start:]), &command); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if instruction != "CMD" && !slices.Contains(programs, filepath.Base(command[0])) {
				t.Errorf("%s: the image has only %v", line, programs)
			}
		}
	}
}

// checkCopy checks a COPY instruction and returns the names of the copied files.
func checkCopy(t *testing.T, arguments string, stages []string) (names []string) {
	t.Helper()
	isFromStage := false
	var paths []string
	for _, word := range strings.Fields(arguments) {
		if stage, ok := strings.CutPrefix(word, "--from="); ok {
			isFromStage = true
			if !slices.Contains(stages, stage) {
				t.Errorf("COPY %s: there is no stage %s", arguments, stage)
			}
		} else if !strings.HasPrefix(word, "--") {
			paths = append(paths, word)
		}
	}
	if len(paths) < 2 {
		t.Fatalf("COPY %s: no source or no target", arguments)
	}
	target := paths[len(paths)-1]
	for _, source := range paths[:len(paths)-1] {
		names = append(names, filepath.Base(source))
		// dist/ is made by make dist.
		if _, err := os.Stat(filepath.Join("..", source)); err != nil && !isFromStage && !strings.HasPrefix(source, "dist/") {
			t.Errorf("COPY %s: %v", arguments, err)
		}
	}
	return append(names, filepath.Base(target))
}
