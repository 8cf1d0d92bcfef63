package deploy_test

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// cloudRunProbe is a probe of Cloud Run.
type cloudRunProbe struct {
	HTTPGet struct {
		Path string
		Port int
	} `yaml:"httpGet"`
	PeriodSeconds    int `yaml:"periodSeconds"`
	TimeoutSeconds   int `yaml:"timeoutSeconds"`
	FailureThreshold int `yaml:"failureThreshold"`
}

// cloudRunContainer is the container of service.yaml.
type cloudRunContainer struct {
	Image string
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	Env []struct {
		Name, Value string
		ValueFrom   struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Resources struct{ Limits struct{ CPU, Memory string } }
	Startup   cloudRunProbe `yaml:"startupProbe"`
	Liveness  cloudRunProbe `yaml:"livenessProbe"`
}

// cloudRunService is service.yaml. Another name in the file is an error.
type cloudRunService struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Template struct {
			Metadata struct{ Annotations map[string]string }
			Spec     struct {
				Concurrency int `yaml:"containerConcurrency"`
				Timeout     int `yaml:"timeoutSeconds"`
				Containers  []cloudRunContainer
			}
		}
	}
}

func readCloudRun(t *testing.T) (c cloudRunService) {
	t.Helper()
	file, err := os.Open("cloudrun/service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := yaml.NewDecoder(file, yaml.DisallowUnknownField()).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if len(c.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%d containers", len(c.Spec.Template.Spec.Containers))
	}
	return c
}

// environment returns the variables of the container, with the one that Cloud Run adds. store is
// the value of the secret.
func (c *cloudRunContainer) environment(t *testing.T, store string) (env []string) {
	t.Helper()
	for _, variable := range c.Env {
		switch secret := variable.ValueFrom.SecretKeyRef; {
		case variable.Name == "TALLYCAST_STORE" && secret.Name != "" && secret.Key == "latest":
			variable.Value = store
		case secret.Name != "" || variable.Value == "":
			t.Errorf("%+v", variable)
		}
		if variable.Name != "GOMEMLIMIT" {
			env = append(env, variable.Name+"="+variable.Value)
		}
	}
	return append(env, "PORT="+strconv.Itoa(c.Ports[0].ContainerPort))
}

// tallycast accepts the settings of service.yaml, and Cloud Run waits for its end: 10 s. Open
// pages leave requests for likes.
func TestCloudRun_Settings(t *testing.T) {
	t.Parallel()
	service := readCloudRun(t)
	spec := service.Spec.Template.Spec
	c := spec.Containers[0]
	env := c.environment(t, "rediss://default:password@127.0.0.1:6379")
	port := c.Ports[0].ContainerPort
	if out := checkConfig(t, env); !strings.Contains(out, fmt.Sprintf(":%d", port)) {
		t.Errorf("tallycast does not listen on port %d:\n%s", port, out)
	}
	for _, probe := range []cloudRunProbe{c.Startup, c.Liveness} {
		if probe.HTTPGet.Port != port || probe.TimeoutSeconds > probe.PeriodSeconds {
			t.Errorf("%+v", probe)
		}
	}
	const killed, answer = 10 * time.Second, 3 * time.Second // a like in flight
	if drain, err := time.ParseDuration(value(env, "TALLYCAST_DRAIN")); err != nil || drain+answer > killed-2*time.Second {
		t.Errorf("drain %s, %v", drain, err)
	}
	if viewers, err := strconv.Atoi(value(env, "TALLYCAST_MAX_VIEWERS")); err != nil || viewers > spec.Concurrency*9/10 || spec.Concurrency > 1000 || spec.Timeout != 3600 {
		t.Errorf("%d viewers of %d requests, each for %d s, %v", viewers, spec.Concurrency, spec.Timeout, err)
	}
	annotations := service.Spec.Template.Metadata.Annotations
	if annotations["autoscaling.knative.dev/minScale"] != "0" || len(annotations) != 2 || service.APIVersion != "serving.knative.dev/v1" || service.Kind != "Service" {
		t.Errorf("%+v", service)
	}
}

// An instance with the settings of service.yaml and a hosted Redis answers both probes, and takes
// a client's address from the header that Cloud Run writes.
func TestCloudRun_ProbesAndClientAddress(t *testing.T) {
	t.Parallel()
	service := readCloudRun(t)
	c := service.Spec.Template.Spec.Containers[0]
	env := c.environment(t, redistest.Start(t, redistest.Options{Hosted: true}).URL(0))
	env = slices.DeleteFunc(env, func(variable string) bool { return strings.HasPrefix(variable, "PORT=") }) // a free one
	i := processtest.Serve(t, binary, env)
	i.AwaitReady()
	for _, probe := range []cloudRunProbe{c.Startup, c.Liveness} {
		if status, body := processtest.Get(i.URL + probe.HTTPGet.Path); status != http.StatusOK {
			t.Errorf("%s: %d %s", probe.HTTPGet.Path, status, body)
		}
	}
	for n := 1; n <= 2; n++ {
		address := fmt.Sprintf("198.51.100.%d", n)
		if status, count := like(t, client, i.URL, "default/likes/post", "", "X-Forwarded-For", address); status != http.StatusOK || count != n {
			t.Errorf("%s: %d, count %d", address, status, count)
		}
	}
}
