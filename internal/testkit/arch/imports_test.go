// Package arch_test checks which package may import which. Imports point inward: the domain
// imports no adapter, the stores import neither each other nor the hub, each library is
// imported by its owners only, and server connects the packages.
package arch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/tallycast/tallycast/"

// inward lists the packages of this module that each package may import outside of its
// tests. A package that is not listed may have no imports.
var inward = map[string][]string{
	"internal/tally":        {},
	"internal/newfile":      {},
	"internal/sqlitestore":  {"internal/newfile", "internal/tally"},
	"internal/redisstore":   {"internal/redistopology", "internal/tally"},
	"internal/hub":          {"internal/tally"},
	"internal/eventstream":  {},
	"internal/presence":     {"internal/tally"},
	"internal/ratelimit":    {"internal/tally"},
	"internal/push":         {"internal/hub", "internal/ratelimit", "internal/tally"},
	"internal/connlimit":    {"internal/ratelimit", "internal/tally"},
	"internal/owner":        {"internal/tally"},
	"internal/numeral":      {"internal/tally"},
	"internal/pagekey":      {"internal/tally"},
	"internal/plaintext":    {},
	"internal/table":        {"internal/plaintext"},
	"internal/transfer":     {"internal/tally"},
	"internal/importer":     {"internal/numeral", "internal/pagekey", "internal/plaintext", "internal/table", "internal/tally"},
	"internal/seed":         {"internal/numeral", "internal/pagekey", "internal/plaintext", "internal/table", "internal/tally"},
	"internal/sitemap":      {"internal/pagekey"},
	"internal/problem":      {"internal/tally"},
	"internal/visitortoken": {"internal/tally"},
	"internal/admin":        {"internal/transfer", "internal/owner", "internal/problem", "internal/ratelimit", "internal/tally", "web"},
	"internal/api":          {"internal/admin", "internal/hub", "internal/problem", "internal/push", "internal/ratelimit", "internal/tally", "internal/visitortoken", "web"},
	"web":                   {},
	"web/bundle":            {},
	"web/generate":          {"web/bundle"},
	"internal/config":       {"internal/plaintext", "internal/ratelimit", "internal/redisstore", "internal/seed", "internal/tally", "internal/visitortoken"},
	"internal/server": {"internal/admin", "internal/api", "internal/config", "internal/connlimit", "internal/hub", "internal/owner", "internal/presence", "internal/problem", "internal/push",
		"internal/ratelimit", "internal/redisstore", "internal/seed", "internal/sitemap", "internal/sqlitestore", "internal/tally", "internal/visitortoken", "web"},
	"internal/cli": {"internal/admin", "internal/config", "internal/eventstream", "internal/importer", "internal/newfile", "internal/numeral", "internal/owner", "internal/plaintext", "internal/redisstore", "internal/seed", "internal/server",
		"internal/sitemap", "internal/sqlitestore", "internal/tally", "internal/transfer"},
	"cmd/tallycast":          {"internal/cli"},
	"internal/redistopology": {},
	// For tests only.
	"internal/testkit/storetest":   {"internal/tally", "internal/testkit/processtest"},
	"internal/testkit/redistest":   {"internal/testkit/processtest"},
	"internal/testkit/processtest": {},
	"internal/testkit/checker":     {},
	"internal/testkit/e2e":         {},
}

// owners lists the packages that may import a library, by the prefix of its path.
var owners = map[string][]string{
	"github.com/gin-gonic/":          {"internal/api"},
	"github.com/coder/websocket":     {}, // in tests only
	"github.com/redis/go-redis":      {"internal/importer", "internal/redisstore", "internal/redistopology", "internal/testkit/redistest"},
	"modernc.org/":                   {"internal/sqlitestore", "internal/testkit/e2e", "internal/testkit/checker"},
	"database/sql":                   {"internal/sqlitestore"},
	"github.com/prometheus/":         {"internal/api"},
	"github.com/golang-jwt/jwt":      {"internal/visitortoken"},
	"github.com/spf13/pflag":         {"internal/cli"},
	"github.com/dustin/go-humanize":  {"internal/cli", "web"},
	"github.com/goccy/go-yaml":       {"internal/config", "internal/seed"},
	"github.com/pelletier/go-toml":   {"internal/seed"},
	"github.com/evanw/esbuild":       {"web/bundle", "web/generate"},
	"golang.org/x/net/":              {"internal/cli"},
	"golang.org/x/text/unicode/norm": {"internal/tally", "internal/seed"},
	"golang.org/x/text/encoding/":    {"internal/pagekey", "internal/plaintext"},
	// An executed template adds megabytes to the binary: see TestBinary_Size.
	"html/template":                         {"web/bundle"},
	"text/template":                         {},
	module + "internal/testkit/storetest":   {},
	module + "internal/testkit/redistest":   {},
	module + "internal/testkit/processtest": {"internal/testkit/redistest", "internal/testkit/storetest"},
	module + "internal/testkit/checker":     {},
	module + "internal/testkit/arch":        {},
	"pgregory.net/rapid":                    {"internal/testkit/storetest"},
	"go.uber.org/goleak":                    {"internal/testkit/processtest"},
	"testing":                               {"internal/testkit/storetest", "internal/testkit/redistest", "internal/testkit/processtest"},
}

// inTests lists the libraries that tests of other packages may not import either, because
// they would couple packages that are independent.
var inTests = []string{"github.com/gin-gonic/", "modernc.org/"}

// pkg is the output of go list for a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

// packages returns the packages of this module.
var packages = sync.OnceValues(func() (all []pkg, err error) {
	command := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.String())
	}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func list(t *testing.T) []pkg {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Packages import only what inward lists.
func TestImports_Inward(t *testing.T) {
	for _, p := range list(t) {
		allowed, known := inward[p.name()]
		if !known && len(p.Imports) > 0 {
			t.Errorf("%s is new: list its imports in this test", p.name())
		}
		for _, imported := range p.Imports {
			inner, own := strings.CutPrefix(imported, module)
			if own && !slices.Contains(allowed, inner) {
				t.Errorf("%s imports %s", p.name(), inner)
			}
		}
	}
}

// The domain imports only the standard library and the Unicode normaliser.
func TestDomain_Imports(t *testing.T) {
	for _, p := range list(t) {
		if p.name() != "internal/tally" {
			continue
		}
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if strings.Contains(first, ".") && imported != "golang.org/x/text/unicode/norm" {
				t.Errorf("the domain imports %s", imported)
			}
		}
		return
	}
	t.Error("there is no package internal/tally")
}

// Each library is imported by its owners only.
func TestLibraries_Owners(t *testing.T) {
	for _, p := range list(t) {
		for library, allowed := range owners {
			if slices.Contains(allowed, p.name()) {
				continue
			}
			imports := p.Imports
			if slices.Contains(inTests, library) {
				imports = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			}
			for _, imported := range imports {
				if imported == library || strings.HasPrefix(imported, strings.TrimSuffix(library, "/")+"/") {
					t.Errorf("%s imports %s, which only %v may import", p.name(), imported, allowed)
				}
			}
		}
	}
}

// The stores import neither each other nor the hub, also in tests.
func TestStores_Independent(t *testing.T) {
	forbidden := map[string][]string{
		"internal/sqlitestore": {"internal/redisstore", "internal/hub", "internal/push", "internal/api"},
		"internal/redisstore":  {"internal/sqlitestore", "internal/hub", "internal/push", "internal/api"},
	}
	for _, p := range list(t) {
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if slices.Contains(forbidden[p.name()], strings.TrimPrefix(imported, module)) {
				t.Errorf("a test of %s imports %s", p.name(), imported)
			}
		}
	}
}
