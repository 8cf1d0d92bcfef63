package deploy_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// startRedis starts redis-server with the shipped configuration; args override the parts
// that depend on the machine.
func startRedis(t *testing.T, args ...string) (address string) {
	t.Helper()
	requireTool(t, "redis-server")
	address = processtest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	server := processtest.Start(t, "redis-server", nil, append([]string{absolute(t, "redis/redis.conf"),
		"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir()}, args...)...)
	processtest.Eventually(t, "Redis", func() bool {
		if server.HasEnded() {
			t.Fatalf("redis-server ended:\n%s", server.Out)
		}
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
	return address
}

// checkWithoutWarnings checks that an instance on a store works and reports no warning.
func checkWithoutWarnings(t *testing.T, store string) {
	t.Helper()
	i := startInstance(t, "--store", store)
	if status, count := like(t, client, i.URL, "default/likes/hello", "visitor-1"); status != http.StatusOK || count != 1 {
		t.Errorf("a like: %d, count %d", status, count)
	}
	openStream(t, client, i.URL, "default/likes/hello")
	_, body := processtest.Get(i.Internal + "/readyz")
	var answer struct {
		Store    struct{ Status string }
		Warnings []string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Store.Status != "up" || len(answer.Warnings) > 0 {
		t.Errorf("%v: %s", err, body)
	}
	for line := range strings.Lines(i.Log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"level":"WARN","msg":"redis`) {
			t.Error(line)
		}
	}
}

// An instance has no warnings about a Redis with the shipped configuration.
func TestRedis_ShippedConfiguration(t *testing.T) {
	t.Parallel()
	checkWithoutWarnings(t, "redis://"+startRedis(t)+"/0")
}

// The shipped Redis user has all the rights that an instance needs.
func TestRedis_ShippedUser(t *testing.T) {
	t.Parallel()
	users, err := os.ReadFile("redis/users.acl")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(users), ">change-me") != 2 {
		t.Error("users.acl contains other passwords than the placeholder change-me")
	}
	path := filepath.Join(t.TempDir(), "users.acl") // Redis may write the file
	if err := os.WriteFile(path, users, 0o600); err != nil {
		t.Fatal(err)
	}
	checkWithoutWarnings(t, "redis://tallycast:change-me@"+startRedis(t, "--aclfile", path)+"/0")
}
