package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

type compose struct {
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Command     []string
		Volumes     []string
		Profiles    []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
}

// checkConfig runs check-config with an environment and returns the settings.
func checkConfig(t *testing.T, env []string, args ...string) string {
	t.Helper()
	command := exec.Command(binary, append([]string{"check-config"}, args...)...)
	command.Env = env
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if value != "" && !strings.Contains(string(out), "environment "+name) {
			t.Errorf("%s is not a setting", name)
		}
	}
	return string(out)
}

// A variable as compose writes it, ${NAME:-default}.
var variable = regexp.MustCompile(`\$\{\w+:-([^}]*)\}`)

// The services of the compose file accept their settings and know each other.
func TestCompose_Settings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file compose
	// A key beside a merged one replaces it.
	if err := yaml.UnmarshalWithOptions([]byte(variable.ReplaceAllString(string(text), "$1")), &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	instances := 0
	for name, service := range file.Services {
		for dependency := range service.DependsOn {
			if _, ok := file.Services[dependency]; !ok {
				t.Errorf("%s depends on %s, which does not exist", name, dependency)
			}
		}
		for _, volume := range service.Volumes {
			if path, _, _ := strings.Cut(volume, ":"); strings.HasPrefix(path, "./") {
				if _, err := os.Stat(filepath.Join("..", path)); err != nil {
					t.Errorf("%s mounts a missing file: %v", name, err)
				}
			}
		}
		if service.Image == "tallycast" {
			var env []string
			for variable, value := range service.Environment {
				env = append(env, variable+"="+value)
			}
			out := checkConfig(t, env, service.Command...)
			if slices.Equal(service.Profiles, []string{"regions"}) {
				if !strings.Contains(out, "redis://link:6379/0") || !strings.Contains(out, "redis://redis-near:6379/0") {
					t.Errorf("%s is not beside the replica:\n%s", name, out)
				}
				continue
			}
			instances++
			if !strings.Contains(out, "redis://redis:6379/0") {
				t.Errorf("%s is not on the shared Redis:\n%s", name, out)
			}
			if _, ok := file.Services["nginx"].DependsOn[name]; !ok {
				t.Errorf("nginx does not wait for %s", name)
			}
		}
	}
	if instances != 3 {
		t.Errorf("%d instances", instances)
	}
	upstream, err := os.ReadFile("nginx/instances.conf")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= instances; i++ {
		if want := fmt.Sprintf("\nserver tally-%d:8080 max_fails=0;", i); !strings.Contains(string(upstream), want) {
			t.Errorf("nginx does not know tally-%d", i)
		}
	}
	if redis := file.Services["redis"]; !slices.Contains(redis.Volumes, "./deploy/redis/redis.conf:/etc/redis/redis.conf:ro") ||
		!slices.Equal(redis.Command, []string{"redis-server", "/etc/redis/redis.conf"}) {
		t.Errorf("Redis does not run with redis.conf: %v, %v", redis.Command, redis.Volumes)
	}
	scraped, err := os.ReadFile("prometheus/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= instances; i++ {
		if !strings.Contains(string(scraped), fmt.Sprintf(`"tally-%d:8081"`, i)) {
			t.Errorf("Prometheus does not know tally-%d", i)
		}
	}
	replica := []string{"redis-server", "/etc/redis/redis.conf", "--replicaof", "link", "6379", "--replica-priority", "0"}
	if near := file.Services["redis-near"]; !slices.Equal(near.Command, replica) {
		t.Errorf("the replica runs %q", near.Command)
	}
	for _, name := range []string{"prometheus", "grafana"} {
		if !slices.Equal(file.Services[name].Profiles, []string{"monitoring"}) {
			t.Errorf("%s is not in the profile monitoring", name)
		}
	}
}

// The program accepts the settings of the service unit.
func TestServiceUnit_Settings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("tallycast.service")
	if err != nil {
		t.Fatal(err)
	}
	var env, args []string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "Environment":
			env = append(env, value)
		case "ExecStart":
			args = strings.Fields(value)[1:]
		}
	}
	if len(args) == 0 || args[0] != "serve" {
		t.Fatalf("the unit starts %q", args)
	}
	if out := checkConfig(t, env, args[1:]...); !strings.Contains(out, "sqlite:/var/lib/tallycast/") {
		t.Errorf("the counts are not in the state directory:\n%s", out)
	}
}

// systemd accepts every line of the service unit and rates its exposure as low.
func TestServiceUnit_Hardening(t *testing.T) {
	t.Parallel()
	requireTool(t, "systemd-analyze")
	text, err := os.ReadFile("tallycast.service")
	if err != nil {
		t.Fatal(err)
	}
	// systemd checks that the binary exists.
	unit := filepath.Join(t.TempDir(), "tallycast.service")
	adapted := strings.ReplaceAll(string(text), "/usr/local/bin/tallycast", binary)
	if err := os.WriteFile(unit, []byte(adapted), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	// Exposure in tenths, at most 100: 12 now.
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
