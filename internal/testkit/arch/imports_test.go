// Package arch_test holds the rule of who may import whom. Imports point inward:
// the domain knows nothing around it, the stores know neither each other nor the
// hub, each library that shapes code is seen by one package, and server wires.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tallycast/tallycast/"

// inward lists, for each package, those of this module that it may import
// outside of its tests. A package that is not listed may be imported by nobody.
var inward = map[string][]string{
	"internal/tally":       {},
	"internal/newfile":     {},
	"internal/sqlitestore": {"internal/newfile", "internal/tally"},
	"internal/redisstore":  {"internal/redistopology", "internal/tally"},
	"internal/hub":         {"internal/tally"},
	"internal/eventstream": {},
	"internal/presence":    {"internal/tally"},
	"internal/ratelimit":   {"internal/tally"},
	"internal/push":        {"internal/hub", "internal/ratelimit", "internal/tally"},
	"internal/connlimit":   {"internal/ratelimit", "internal/tally"},
	"internal/owner":       {"internal/tally"},
	"internal/numeral":     {"internal/tally"},
	"internal/pagekey":     {"internal/tally"},
	"internal/plaintext":   {},
	"internal/table":       {"internal/plaintext"},
	"internal/transfer":    {"internal/tally"},
	"internal/importer":    {"internal/numeral", "internal/pagekey", "internal/plaintext", "internal/table", "internal/tally"},
	"internal/seed":        {"internal/numeral", "internal/pagekey", "internal/plaintext", "internal/table", "internal/tally"},
	"internal/sitemap":     {"internal/pagekey"},
	"internal/problem":     {"internal/tally"},
	"internal/admin":       {"internal/transfer", "internal/owner", "internal/problem", "internal/ratelimit", "internal/tally"},
	"internal/api":         {"internal/admin", "internal/hub", "internal/problem", "internal/push", "internal/ratelimit", "internal/tally", "web"},
	"web":                  {},
	"web/bundle":           {},
	"web/generate":         {"web/bundle"},
	"internal/config":      {"internal/ratelimit", "internal/redisstore", "internal/seed", "internal/tally"},
	"internal/server": {"internal/admin", "internal/api", "internal/config", "internal/connlimit", "internal/hub", "internal/owner", "internal/presence", "internal/problem", "internal/push",
		"internal/ratelimit", "internal/redisstore", "internal/seed", "internal/sitemap", "internal/sqlitestore", "internal/tally", "web"},
	"internal/cli": {"internal/admin", "internal/config", "internal/eventstream", "internal/importer", "internal/newfile", "internal/numeral", "internal/owner", "internal/redisstore", "internal/seed", "internal/server",
		"internal/sitemap", "internal/sqlitestore", "internal/tally", "internal/transfer"},
	"cmd/tallycast":          {"internal/cli"},
	"internal/redistopology": {},
	// For tests alone.
	"internal/testkit/storetest":   {"internal/tally"},
	"internal/testkit/redistest":   {"internal/testkit/processtest"},
	"internal/testkit/processtest": {},
	"internal/testkit/checker":     {},
	"internal/testkit/e2e":         {},
}

// owners lists who may import a library, by the beginning of its path.
var owners = map[string][]string{
	"github.com/gin-gonic/":          {"internal/api"},
	"github.com/coder/websocket":     {"internal/push"},
	"github.com/redis/go-redis":      {"internal/importer", "internal/redisstore", "internal/redistopology", "internal/testkit/redistest"},
	"modernc.org/":                   {"internal/sqlitestore", "internal/testkit/e2e", "internal/testkit/checker"},
	"database/sql":                   {"internal/sqlitestore"},
	"github.com/prometheus/":         {"internal/api"},
	"github.com/spf13/pflag":         {"internal/cli"},
	"github.com/goccy/go-yaml":       {"internal/config", "internal/seed"},
	"github.com/pelletier/go-toml":   {"internal/seed"},
	"github.com/evanw/esbuild":       {"web/bundle", "web/generate"},
	"golang.org/x/text/unicode/norm": {"internal/tally", "internal/seed"},
	"golang.org/x/text/encoding/":    {"internal/pagekey", "internal/plaintext"},
	// A template that is executed costs the binary megabytes: see TestTheBinaryStaysSmall.
	"html/template":                         {"web/bundle"},
	"text/template":                         {},
	module + "internal/testkit/storetest":   {},
	module + "internal/testkit/redistest":   {},
	module + "internal/testkit/processtest": {"internal/testkit/redistest"},
	module + "internal/testkit/checker":     {},
	module + "internal/testkit/arch":        {},
	"pgregory.net/rapid":                    {"internal/testkit/storetest"},
	"go.uber.org/goleak":                    {},
	"testing":                               {"internal/testkit/storetest", "internal/testkit/redistest", "internal/testkit/processtest"},
}

// inTests lists what tests too may import only where owners says: what would
// otherwise tie packages together that know nothing of each other.
var inTests = []string{"github.com/gin-gonic/", "modernc.org/"}

// pkg is what go list tells of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func list(t *testing.T) []pkg {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsPointInward(t *testing.T) {
	for _, p := range list(t) {
		allowed, known := inward[p.name()]
		if !known && len(p.Imports) > 0 {
			t.Errorf("%s is new: say in this test what it may import", p.name())
		}
		for _, imported := range p.Imports {
			inner, own := strings.CutPrefix(imported, module)
			if own && !slices.Contains(allowed, inner) {
				t.Errorf("%s imports %s", p.name(), inner)
			}
		}
	}
}

func TestTheDomainImportsNothingButTheNormaliser(t *testing.T) {
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
	t.Error("there is no domain")
}

func TestEachLibraryIsSeenByItsOwnersAlone(t *testing.T) {
	for _, p := range list(t) {
		for library, allowed := range owners {
			if slices.Contains(allowed, p.name()) {
				continue
			}
			seen := p.Imports
			if slices.Contains(inTests, library) {
				seen = slices.Concat(p.Imports, p.TestImports, p.XTestImports)
			}
			for _, imported := range seen {
				if imported == library || strings.HasPrefix(imported, strings.TrimSuffix(library, "/")+"/") {
					t.Errorf("%s imports %s, which is for %v alone", p.name(), imported, allowed)
				}
			}
		}
	}
}

func TestStoresKnowNeitherEachOtherNorTheHubEvenInTests(t *testing.T) {
	strangers := map[string][]string{
		"internal/sqlitestore": {"internal/redisstore", "internal/hub", "internal/push", "internal/api"},
		"internal/redisstore":  {"internal/sqlitestore", "internal/hub", "internal/push", "internal/api"},
	}
	for _, p := range list(t) {
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			if slices.Contains(strangers[p.name()], strings.TrimPrefix(imported, module)) {
				t.Errorf("a test of %s imports %s", p.name(), imported)
			}
		}
	}
}
