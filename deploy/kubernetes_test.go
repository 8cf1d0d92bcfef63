package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

type labels map[string]string

type probe struct {
	HTTPGet struct{ Path, Port string }
}

// pod is the part of the deployment's pods that the tests read.
type pod struct {
	TerminationGracePeriodSeconds int
	Containers                    []struct {
		Args  []string
		Ports []struct {
			Name          string
			ContainerPort int
		}
		Env     []struct{ Name, Value string }
		EnvFrom []struct {
			ConfigMapRef, SecretRef struct{ Name string }
		}
		LivenessProbe, ReadinessProbe probe
		Lifecycle                     struct {
			PreStop struct{ Sleep struct{ Seconds int } }
		}
	}
}

// manifests are the rendered manifests as JSON, by kind.
type manifests map[string]json.RawMessage

// render renders the manifests with kubectl.
func render(t *testing.T) manifests {
	t.Helper()
	requireTool(t, "kubectl")
	out, err := exec.Command("kubectl", "kustomize", "kubernetes").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := manifests{}
	for text := range strings.SplitSeq(string(out), "\n---\n") {
		document, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ Kind string }
		if err := json.Unmarshal(document, &head); err != nil || head.Kind == "" {
			t.Fatalf("not a manifest: %v: %s", err, text)
		}
		all[head.Kind] = document
	}
	return all
}

// read decodes the only manifest of a kind into found.
func (m manifests) read(t *testing.T, kind string, found any) {
	t.Helper()
	if m[kind] == nil {
		t.Fatalf("there is no %s", kind)
	}
	if err := json.Unmarshal(m[kind], found); err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
}

type deployment struct {
	Metadata struct{ Name string }
	Spec     struct {
		Selector struct{ MatchLabels labels }
		Template struct {
			Metadata struct{ Labels, Annotations labels }
			Spec     pod
		}
	}
}

// environment returns the environment of an instance in a pod.
func (m manifests) environment(t *testing.T, d deployment) (env []string) {
	t.Helper()
	var config, secret struct {
		Metadata         struct{ Name string }
		Data, StringData labels
	}
	m.read(t, "ConfigMap", &config)
	m.read(t, "Secret", &secret)
	container := d.Spec.Template.Spec.Containers[0]
	found := map[string]string{}
	for _, from := range container.EnvFrom {
		switch {
		case from.ConfigMapRef.Name == config.Metadata.Name:
			maps.Copy(found, config.Data)
		case from.SecretRef.Name == secret.Metadata.Name:
			maps.Copy(found, secret.StringData)
		default:
			t.Errorf("the source of the environment does not exist: %+v", from)
		}
	}
	for _, variable := range container.Env {
		found[variable.Name] = variable.Value
	}
	for name, value := range found {
		if strings.HasPrefix(name, "TALLYCAST_") {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func value(env []string, name string) string {
	for _, variable := range env {
		if value, ok := strings.CutPrefix(variable, name+"="); ok {
			return value
		}
	}
	return ""
}

// The program accepts the pods' settings. Kubernetes waits for the end of the drain.
func TestKubernetes_Settings(t *testing.T) {
	t.Parallel()
	all := render(t)
	var d deployment
	all.read(t, "Deployment", &d)
	container := d.Spec.Template.Spec.Containers[0]
	env := all.environment(t, d)
	checkConfig(t, env, container.Args[1:]...)
	if container.Args[0] != "serve" {
		t.Errorf("the container starts %q", container.Args)
	}
	ports := map[string]string{"http": "TALLYCAST_LISTEN", "internal": "TALLYCAST_INTERNAL_LISTEN"}
	for _, port := range container.Ports {
		if listen := value(env, ports[port.Name]); listen != fmt.Sprintf(":%d", port.ContainerPort) {
			t.Errorf("port %s is %d, and the instance listens on %q", port.Name, port.ContainerPort, listen)
		}
		if port.Name == "internal" && d.Spec.Template.Metadata.Annotations["prometheus.io/port"] != fmt.Sprint(port.ContainerPort) {
			t.Error("the annotation for Prometheus does not name the internal port")
		}
	}
	drain, err := time.ParseDuration(value(env, "TALLYCAST_DRAIN"))
	if err != nil {
		t.Fatal(err)
	}
	const finishing = 10 * time.Second // requests in flight after the drain
	needed := time.Duration(container.Lifecycle.PreStop.Sleep.Seconds)*time.Second + drain + finishing
	if given := time.Duration(d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; given < needed {
		t.Errorf("the pod is killed after %v and needs %v to end", given, needed)
	}
}

// The instance answers the probes, serves the metrics for Prometheus, and has the metric by
// which the autoscaler scales.
func TestKubernetes_ProbesAndMetrics(t *testing.T) {
	t.Parallel()
	all := render(t)
	var d deployment
	all.read(t, "Deployment", &d)
	store := redistest.Start(t, redistest.Options{}).URL(0)
	var env []string
	for _, variable := range all.environment(t, d) {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "TALLYCAST_LISTEN", "TALLYCAST_INTERNAL_LISTEN", "TALLYCAST_STORE": // the test sets these
		default:
			env = append(env, variable)
		}
	}
	i := processtest.Serve(t, binary, env, "--store", store)
	i.AwaitReady()
	listeners := map[string]string{"http": i.URL, "internal": i.Internal}
	container := d.Spec.Template.Spec.Containers[0]
	paths := map[string]probe{"/healthz": container.LivenessProbe, "/readyz": container.ReadinessProbe}
	for path, probe := range paths {
		if probe.HTTPGet.Path != path {
			t.Errorf("a probe requests %s, not %s", probe.HTTPGet.Path, path)
		}
		if status, body := processtest.Get(listeners[probe.HTTPGet.Port] + probe.HTTPGet.Path); status != http.StatusOK {
			t.Errorf("the probe %+v: %d %s", probe, status, body)
		}
	}
	scraped := d.Spec.Template.Metadata.Annotations["prometheus.io/path"]
	if status, _ := processtest.Get(i.Internal + scraped); status != http.StatusOK {
		t.Errorf("%s: %d", scraped, status)
	}
	var scaling struct {
		Spec struct {
			ScaleTargetRef struct{ Kind, Name string }
			Metrics        []struct {
				Pods struct{ Metric struct{ Name string } }
			}
		}
	}
	all.read(t, "HorizontalPodAutoscaler", &scaling)
	if to := scaling.Spec.ScaleTargetRef; to.Kind != "Deployment" || to.Name != d.Metadata.Name {
		t.Errorf("the autoscaler scales %+v", to)
	}
	for _, metric := range scaling.Spec.Metrics {
		if name := metric.Pods.Metric.Name; name != "" && i.Metric(name) < 0 {
			t.Errorf("the autoscaler uses the missing metric %s", name)
		}
	}
}

// Service, ingress and disruption budget select the pods of the deployment.
func TestKubernetes_Selectors(t *testing.T) {
	t.Parallel()
	all := render(t)
	var d deployment
	all.read(t, "Deployment", &d)
	var service struct {
		Metadata struct{ Name string }
		Spec     struct {
			Selector labels
			Ports    []struct{ Name, TargetPort string }
		}
	}
	all.read(t, "Service", &service)
	var budget struct {
		Spec struct {
			MaxUnavailable int
			Selector       struct{ MatchLabels labels }
		}
	}
	all.read(t, "PodDisruptionBudget", &budget)
	own := d.Spec.Template.Metadata.Labels
	for what, selected := range map[string]labels{
		"deployment": d.Spec.Selector.MatchLabels, "service": service.Spec.Selector, "budget": budget.Spec.Selector.MatchLabels,
	} {
		if len(selected) == 0 || !maps.Equal(selected, own) {
			t.Errorf("the %s selects %v, the pods have %v", what, selected, own)
		}
	}
	if budget.Spec.MaxUnavailable != 1 {
		t.Errorf("%d pods may be unavailable", budget.Spec.MaxUnavailable)
	}
	offered := map[string]bool{}
	for _, port := range service.Spec.Ports {
		if port.TargetPort != "http" {
			t.Errorf("the service uses port %s of the pods", port.TargetPort)
		}
		offered[port.Name] = true
	}
	var ingress struct {
		Spec struct {
			Rules []struct {
				HTTP struct {
					Paths []struct {
						Backend struct {
							Service struct {
								Name string
								Port struct{ Name string }
							}
						}
					}
				}
			}
		}
	}
	all.read(t, "Ingress", &ingress)
	to := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if to.Name != service.Metadata.Name || !offered[to.Port.Name] {
		t.Errorf("the ingress uses the backend %+v", to)
	}
}
