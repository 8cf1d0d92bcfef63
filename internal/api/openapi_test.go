package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

// document is openapi.yaml with the schemas that are compiled so far.
type document struct {
	root map[string]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

var parsedDocument = sync.OnceValues(func() (*document, error) {
	var fromYAML any
	if err := yaml.Unmarshal(openAPIDocument, &fromYAML); err != nil {
		return nil, err
	}
	text, err := json.Marshal(fromYAML)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", root); err != nil {
		return nil, err
	}
	return &document{root: root.(map[string]any), compiler: compiler, schemas: map[string]*jsonschema.Schema{}}, nil
})

// node is a place in the document, after references.
type node struct {
	pointer string
	value   any
}

func (d *document) at(n node, keys ...string) (node, bool) {
	for _, key := range keys {
		fields, ok := n.value.(map[string]any)
		if !ok {
			return node{}, false
		}
		value, ok := fields[key]
		if !ok {
			return node{}, false
		}
		n = d.follow(node{n.pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key), value})
	}
	return n, true
}

func (d *document) follow(n node) node {
	fields, _ := n.value.(map[string]any)
	reference, ok := fields["$ref"].(string)
	if !ok {
		return n
	}
	target, _ := d.at(node{"", d.root}, strings.Split(strings.TrimPrefix(reference, "#/"), "/")...)
	return target
}

// check validates value by the schema at n.
func (d *document) check(t testing.TB, n node, value any) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	schema := d.schemas[n.pointer]
	if schema == nil {
		var segments []string
		for _, segment := range strings.Split(n.pointer, "/") {
			segments = append(segments, url.PathEscape(segment))
		}
		var err error
		if schema, err = d.compiler.Compile("openapi.json#" + strings.Join(segments, "/")); err != nil {
			t.Fatalf("schema at %s: %v", n.pointer, err)
		}
		d.schemas[n.pointer] = schema
	}
	if err := schema.Validate(value); err != nil {
		t.Fatalf("against the document at %s: %v", n.pointer, err)
	}
}

// pathOf returns the documented path of a URL. Keys may contain slashes, which paths of
// OpenAPI cannot express.
func pathOf(path string) (name string, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.SplitN(path, "/", 5)
	switch {
	case strings.HasPrefix(path, "/v1/history/") && len(strings.SplitN(path, "/", 6)) == 6:
		return "/v1/history/{site}/{metric}/{key}", true
	case strings.HasPrefix(path, "/admin/v1/topics/") && len(strings.SplitN(path, "/", 7)) == 7:
		return "/admin/v1/topics/{site}/{metric}/{key}", true
	case strings.HasPrefix(path, "/admin/v1/tokens/"):
		return "/admin/v1/tokens/{name}", true
	case strings.HasPrefix(path, "/admin/v1/") && path != "/admin/v1/nothing":
		return path, true
	case path == "/v1/counts" || path == "/v1/stream" || path == "/v1/ws" || path == "/tally.js" || path == "/openapi.yaml" ||
		path == "/healthz" || path == "/readyz" || path == "/":
		return path, true
	case strings.HasPrefix(path, "/tally-") && strings.HasSuffix(path, ".js"):
		return "/tally-{hash}.js", true
	case len(parts) == 5 && parts[1] == "v1" && parts[2] == "top" && !strings.Contains(parts[4], "/"):
		return "/v1/top/{site}/{metric}", true
	case len(parts) == 5 && parts[1] == "v1":
		return "/v1/{site}/{metric}/{key}", true
	case len(parts) == 5 && parts[1] == "badge" && strings.HasSuffix(path, ".svg"):
		return "/badge/{site}/{metric}/{key}.svg", true
	}
	return "", false
}

// checkAgainstDocument fails the test if a response does not match the document: its
// status, required headers, media type and body; and the body of an accepted request.
func checkAgainstDocument(t testing.TB, path string, q ask, a answer) {
	t.Helper()
	d, err := parsedDocument()
	if err != nil {
		t.Fatal(err)
	}
	name, known := pathOf(path)
	if !known {
		return // nothing is there, or files of the demo
	}
	method := strings.ToLower(q.method)
	if strings.HasPrefix(name, "/admin/") && q.method == http.MethodHead {
		method = "get" // which the document leaves to be understood
	}
	operation, ok := d.at(node{"", d.root}, "paths", name, method)
	if !ok {
		if a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound {
			t.Fatalf("%s %s is answered and not documented", q.method, name)
		}
		return
	}
	response, ok := d.at(operation, "responses", strconv.Itoa(a.status))
	if !ok {
		if response, ok = d.at(operation, "responses", "default"); !ok {
			t.Fatalf("%s %s answers %d, which is not documented: %s", q.method, name, a.status, a.body)
		}
	}
	d.checkHeaders(t, response, a)
	if len(a.body) > 0 {
		d.checkBody(t, response, a.header.Get("Content-Type"), a.body)
	}
	if a.status >= 200 && a.status < 400 && q.body != "" {
		kind := "application/json"
		if i := slices.Index(q.header, "Content-Type"); i >= 0 {
			kind = q.header[i+1]
		}
		requestBody, ok := d.at(operation, "requestBody")
		if !ok {
			t.Fatalf("%s %s takes a body, which is not documented", q.method, name)
		}
		d.checkBody(t, requestBody, kind, []byte(q.body))
	}
}

func (d *document) checkHeaders(t testing.TB, response node, a answer) {
	t.Helper()
	headers, ok := d.at(response, "headers")
	if !ok {
		return
	}
	for header := range headers.value.(map[string]any) {
		n, _ := d.at(headers, header)
		values := a.header.Values(header)
		if len(values) == 0 {
			if n.value.(map[string]any)["required"] == true {
				t.Fatalf("%s: the documented header %s is missing", response.pointer, header)
			}
			continue
		}
		schema, _ := d.at(n, "schema")
		d.check(t, schema, strings.Join(values, ", "))
	}
}

func (d *document) checkBody(t testing.TB, n node, contentType string, body []byte) {
	t.Helper()
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatalf("type %q: %v", contentType, err)
	}
	schema, ok := d.at(n, "content", kind, "schema")
	if !ok {
		t.Fatalf("%s: a body of type %s is not documented", n.pointer, kind)
	}
	var value any = string(body)
	switch {
	case kind == "text/event-stream":
		for line := range strings.Lines(string(body)) {
			if event, ok := strings.CutPrefix(line, "data:"); ok {
				parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(event))
				if err != nil {
					t.Fatalf("%v: %s", err, event)
				}
				d.check(t, schema, parsed)
			}
		}
		return
	case kind == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		for name := range form {
			fields[name] = form.Get(name)
		}
		value = fields
	case kind == "text/plain" || strings.HasSuffix(kind, "json"):
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(body)); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	}
	d.check(t, schema, value)
}

func TestOpenAPI_CodesAndRoutes(t *testing.T) {
	d, err := parsedDocument()
	if err != nil {
		t.Fatal(err)
	}
	codes, _ := d.at(node{"", d.root}, "components", "schemas", "Code", "enum")
	var documented []string
	for _, code := range codes.value.([]any) {
		documented = append(documented, code.(string))
	}
	var known []string
	for _, code := range problem.Codes() {
		known = append(known, string(code))
	}
	slices.Sort(documented)
	slices.Sort(known)
	if !slices.Equal(documented, known) {
		t.Errorf("codes: documented %v, answered %v", documented, known)
	}
	paths, _ := d.at(node{"", d.root}, "paths")
	for path := range paths.value.(map[string]any) {
		filled := strings.NewReplacer("{site}", "blog", "{metric}", "likes", "{key}", "a").Replace(path)
		if name, ok := pathOf(filled); !ok || name != path {
			t.Errorf("%s is documented; the test takes it for %q", path, name)
		}
	}
}

// Every schema compiles, including unused ones.
func TestOpenAPI_Schemas(t *testing.T) {
	d, err := parsedDocument()
	if err != nil {
		t.Fatal(err)
	}
	schemas, _ := d.at(node{"", d.root}, "components", "schemas")
	for name := range schemas.value.(map[string]any) {
		if _, err := d.compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
	frame, _ := d.at(schemas, "Frame")
	text := tally.AppendFrame(nil, tally.Change{})
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	schema, err := d.compiler.Compile("openapi.json#" + frame.pointer)
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(value) == nil {
		t.Error("a frame without a topic is taken for valid: the schemas check nothing")
	}
}
