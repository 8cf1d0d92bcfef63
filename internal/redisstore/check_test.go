package redisstore

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A hosted service may answer INFO without some sections. The instance then says what it could
// not check.
func TestReviewServer_MissingSections(t *testing.T) {
	t.Parallel()
	server := map[string]string{"redis_version": "7.2.0"}
	memory := map[string]string{"maxmemory_policy": "noeviction"}
	persistence := map[string]string{"aof_enabled": "1"}
	for name, c := range map[string]struct {
		info map[string]map[string]string
		want string
	}{
		"all":            {map[string]map[string]string{"Server": server, "Memory": memory, "Persistence": persistence}, ""},
		"no memory":      {map[string]map[string]string{"Server": server, "Persistence": persistence}, "noeviction"},
		"no persistence": {map[string]map[string]string{"Server": server, "Memory": memory}, "appendonly yes"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := &redis.InfoCmd{}
			reply.SetVal(c.info)
			warnings, err := (&node{store: &Store{}}).reviewServer(reply)
			if err != nil || (len(warnings) == 1) != (c.want != "") || !strings.Contains(strings.Join(warnings, "; "), c.want) {
				t.Errorf("%q, %v; want %q", warnings, err, c.want)
			}
		})
	}
}
