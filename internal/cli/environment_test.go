package cli

import (
	"strings"
	"testing"
)

func TestEnvironment_UnknownVariables(t *testing.T) {
	for pair, want := range map[string]string{
		"TALLYCAST_LISTN=:1":           "environment TALLYCAST_LISTN: there is no such setting; did you mean TALLYCAST_LISTEN?",
		"TALLYCAST_ALLOWORIGIN=*":      "did you mean TALLYCAST_ALLOW_ORIGIN?",
		"TALLYCAST_ALLOW-ORIGIN=*":     "did you mean TALLYCAST_ALLOW_ORIGIN?",
		"TALLYCAST_SECRTE=hunter2":     "did you mean TALLYCAST_SECRET?",
		"TALLYCAST_DRAN=":              "did you mean TALLYCAST_DRAIN?",
		"TALLYCAST_QUUX=1":             "environment TALLYCAST_QUUX: there is no such setting; tallycast serve --help lists them",
		"TALLYCAST_PORT=8080":          "environment TALLYCAST_PORT: there is no such setting",
		"TALLYCAST_=1":                 "environment TALLYCAST_: there is no such setting",
		"TALLYCAST_MAX_VIEWERS_PER=10": "TALLYCAST_MAX_VIEWERS_PER",
	} {
		for _, command := range []string{"serve", "check-config"} {
			code, _, errors := call(t, variables(pair), command)
			if code != exitUsage || !strings.Contains(errors, want) || strings.Contains(errors, "hunter2") {
				t.Errorf("%s with %s: exit %d, lacks %q:\n%s", command, pair, code, want, errors)
			}
		}
	}
}

func TestEnvironment_OtherReaders(t *testing.T) {
	env := variables("LISTN=:1", "TALLYCASTER_LISTN=:1", "TALLYCAST_TEST_BINARY=/bin/tallycast", "TALLYCAST_URL=http://localhost:8080",
		// What Kubernetes gives to a pod beside the services tallycast and tallycast-redis.
		"TALLYCAST_SERVICE_HOST=10.0.0.1", "TALLYCAST_SERVICE_PORT=80", "TALLYCAST_SERVICE_PORT_HTTP=80", "TALLYCAST_PORT=tcp://10.0.0.1:80",
		"TALLYCAST_PORT_80_TCP=tcp://10.0.0.1:80", "TALLYCAST_PORT_80_TCP_PROTO=tcp", "TALLYCAST_PORT_80_TCP_PORT=80", "TALLYCAST_PORT_80_TCP_ADDR=10.0.0.1",
		"TALLYCAST_REDIS_SERVICE_HOST=10.0.0.2", "TALLYCAST_REDIS_PORT=tcp://10.0.0.2:6379", "TALLYCAST_REDIS_PORT_6379_TCP_ADDR=10.0.0.2")
	if code, _, errors := call(t, env, "check-config"); code != exitOK {
		t.Errorf("exit %d:\n%s", code, errors)
	}
}
