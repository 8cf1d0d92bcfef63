package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pageOf serves a page with that head and one heart; header holds pairs.
func pageOf(t *testing.T, head string, header ...string) string {
	return servePage(t, head, "<tally-like></tally-like>", header...)
}

func servePage(t *testing.T, head, body string, header ...string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		fmt.Fprintf(w, "<!doctype html><html><head>%s</head><body>%s</body></html>", head, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestDoctor_Findings(t *testing.T) {
	t.Parallel()
	// All origins are allowed, because the ports of the pages are not known yet.
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t),
		"--site", "blog=*", "--site", "closed=https://elsewhere.example")
	at := service.public
	tag := `<script type="module" src="` + at + `/tally.js?site=blog"></script>`
	for name, test := range map[string]struct {
		page string
		says []string
		ill  bool
	}{
		"a page that works": {pageOf(t, "<!-- <script src=/tally.js> -->"+tag),
			[]string{"ok    script", "ok    policy", "ok    origin", "ok    stream", "ok    socket", "ok    address"}, false},
		"no script":        {pageOf(t, ""), []string{"FAIL  script", "needs <script"}, true},
		"no module":        {pageOf(t, strings.Replace(tag, ` type="module"`, "", 1)), []string{"FAIL  script", `type="module"`}, true},
		"a wrong address":  {pageOf(t, strings.Replace(tag, "/tally.js", "/nowhere/tally.js", 1)), []string{"FAIL  script", "404"}, true},
		"an old integrity": {pageOf(t, strings.Replace(tag, "src", `integrity="sha384-old" src`, 1)), []string{"FAIL  script", "does not match its integrity attribute"}, true},
		"an unknown site":  {pageOf(t, strings.Replace(tag, "blog", "nosuch", 1)), []string{"FAIL  service", "unknown_site"}, true},
		"a foreign origin": {pageOf(t, strings.Replace(tag, "blog", "closed", 1)), []string{"FAIL  origin", "--site"}, true},
		"a strict policy":  {pageOf(t, tag, "Content-Security-Policy", "default-src 'self'"), []string{"FAIL  policy", "to script-src", "to connect-src"}, true},
		"a policy in HTML": {pageOf(t, `<meta http-equiv="Content-Security-Policy" content="script-src `+at+`; connect-src 'none'">`+tag), []string{"FAIL  policy", "to connect-src"}, true},
		"a forgotten socket": {pageOf(t, tag, "Content-Security-Policy", "script-src "+at+"; connect-src "+at),
			[]string{"hint  policy", "forbids the WebSocket", "ok    policy"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errors := call(t, variables(), "doctor", test.page)
			if (code == exitFailure) != test.ill || code == exitUsage {
				t.Errorf("exit %d %s", code, errors)
			}
			for _, want := range test.says {
				if !strings.Contains(out, want) {
					t.Errorf("lacks %q:\n%s", want, out)
				}
			}
		})
	}
	own := start(t, variables(), "--drain", "0s", "--store", sqlite(t), "--site", "blog=https://elsewhere.example")
	page := pageOf(t, strings.Replace(tag, at, own.public, 1))
	if _, out, _ := call(t, variables(), "doctor", page); !strings.Contains(out, "--site blog="+page) {
		t.Errorf("where no site takes the page's origin, the one that the page uses is not named:\n%s", out)
	}
	if found := send(t, "GET", at+"/v1/blog/likes/tallycast-doctor", ""); found.Count != 0 || found.Version != 0 {
		t.Errorf("the doctor left a topic: %+v", found)
	}
}

// The doctor checks every site and metric that the page's elements name, and the names of
// elements and attributes.
func TestDoctor_Elements(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--drain", "0s", "--store", sqlite(t), "--allow-origin", "*", "--site", "blog=*", "--site", "closed=https://elsewhere.example", "--metric", "stars=amount:5")
	script := `<script type="module" src="` + service.public + `/tally.js"></script>`
	for _, c := range []struct {
		name, body string
		says       []string
		ill        bool
	}{
		{"all elements", `<tally-like page="a"></tally-like><TALLY-Count></TALLY-Count><tally-claps max=10></tally-claps><tally-reactions></tally-reactions><tally-visitors local></tally-visitors><tally-readers local=""/><tally-top limit="3" href='/{key}>'></tally-top>`,
			[]string{"ok    elements     7 elements, whose sites and metrics exist"}, false},
		{"one element", `<tally-like></tally-like>`, []string{"1 element, whose"}, false},
		{"a declared metric", `<tally-like metric="stars"></tally-like>`, []string{"ok    elements"}, false},
		{"elements of choices", `<tally-poll></tally-poll><tally-rating></tally-rating><tally-vote></tally-vote>`, []string{"ok    elements     3 elements,"}, false},
		{"a poll whose metric is not declared", `<tally-poll metric="lunch"></tally-poll>`, []string{"FAIL  elements", "<tally-poll> of default/lunch: unknown_metric", "--metric"}, true},
		{"an undeclared metric", `<tally-like metric="moons"></tally-like>`, []string{"FAIL  elements", "<tally-like> of default/moons: unknown_metric", "--metric"}, true},
		{"an undeclared metric of a count", `<p><tally-count page='x' metric=moons></tally-count>`, []string{"<tally-count> of default/moons: unknown_metric"}, true},
		{"a metric that cannot be one", `<tally-like metric="St*rs"></tally-like>`, []string{"FAIL  elements", "bad_topic"}, true},
		{"an undeclared reaction", `<tally-reactions reactions="heart=Love it, cheers"></tally-reactions>`, []string{"<tally-reactions> of default/cheers: unknown_metric"}, true},
		{"an unknown site", `<tally-like site="shop"></tally-like>`, []string{"unknown_site", "no site \"shop\""}, true},
		{"a closed site", `<tally-like></tally-like><tally-like site="closed"></tally-like>`, []string{"<tally-like> of closed/likes: origin_not_allowed"}, true},
		{"a metric that visitors cannot change", `<tally-claps metric="readers"></tally-claps>`, []string{"<tally-claps> of default/readers: read_only_metric"}, true},
		{"sites of elements alone", `<tally-like site="blog"></tally-like>`, []string{"may read and write site blog"}, false},
		{"a misspelt element", `<tally-lke></tally-lke>`, []string{"FAIL  elements", "there is no <tally-lke>; did you mean tally-like?"}, true},
		{"another misspelt element", `<tally_visitor></tally_visitor>`, []string{"there is no <tally_visitor>; did you mean tally-visitors?"}, true},
		{"an invented element", `<tally-thermometer></tally-thermometer>`, []string{"there is no <tally-thermometer>"}, true},
		{"a misspelt attribute", `<tally-like pge="x" id="counter" data-page="y"></tally-like>`, []string{"hint  elements", "<tally-like> has no attribute pge; did you mean page?"}, false},
		{"elements in a comment, a script and code", `<!-- <tally-lke> --><script>"<tally-lke>"</script><code>&lt;tally-lke&gt;</code><tally-like></tally-like>`, []string{"ok    elements     1 element,"}, false},
		{"more elements than are asked for", strings.Repeat(`<tally-like></tally-like>`, 1100) + manyMetrics(1100), []string{"FAIL  elements", "default/m1: unknown_metric"}, true},
		{"visitors on localhost", `<tally-visitors></tally-visitors>`, []string{"hint  visitors", "not counted on 127.0.0.1", "attribute local"}, false},
		{"readers on localhost, one local", `<tally-visitors local></tally-visitors><tally-readers local="false"></tally-readers>`, []string{"not counted on 127.0.0.1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errors := call(t, variables(), "doctor", servePage(t, script, c.body))
			if (code == exitFailure) != c.ill || code == exitUsage {
				t.Errorf("exit %d %s\n%s", code, errors, out)
			}
			for _, want := range c.says {
				if !strings.Contains(out, want) {
					t.Errorf("lacks %q:\n%s", want, out)
				}
			}
			if strings.Contains(c.body, " local") && strings.Contains(out, "hint  visitors") == strings.Contains(c.body, `local=""`) {
				t.Errorf("visitors on localhost:\n%s", out)
			}
		})
	}
	for _, site := range []string{"default", "blog"} {
		for _, metric := range []string{"likes", "stars", "claps", "visitors"} {
			if found := send(t, "GET", service.public+"/v1/"+site+"/"+metric+"/"+probeKey, ""); found.Version != 0 {
				t.Errorf("the doctor left a topic of %s/%s: %+v", site, metric, found)
			}
		}
	}
}

// manyMetrics returns n elements, each of a metric that is not declared.
func manyMetrics(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `<tally-like metric="m%d"></tally-like>`, i)
	}
	return text.String()
}

// The doctor's table of elements matches the package.
func TestDoctor_Widgets(t *testing.T) {
	text, err := os.ReadFile("../../web/elements.d.ts")
	if err != nil {
		t.Fatal(err)
	}
	interfaces := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?s)interface (\w+) extends (\w+) \{(.*?)\n\}`).FindAllStringSubmatch(string(text), -1) {
		own := append([]string{}, interfaces[m[2]]...)
		for _, attribute := range regexp.MustCompile(`(?m)^  (\w+):`).FindAllStringSubmatch(m[3], -1) {
			own = append(own, attribute[1])
		}
		interfaces[m[1]] = own
	}
	names := regexp.MustCompile(`'(tally-\w+)': (Tally\w*);`).FindAllStringSubmatch(string(text), -1)
	if len(names) != len(widgets) {
		t.Errorf("the package has %d elements, the doctor knows %d", len(names), len(widgets))
	}
	for _, m := range names {
		known := append(append([]string{}, commonAttributes...), widgets[m[1]].attributes...)
		want := interfaces[m[2]]
		slices.Sort(known)
		slices.Sort(want)
		if !slices.Equal(known, want) {
			t.Errorf("<%s> has %v, the doctor knows %v", m[1], want, known)
		}
	}
}

func TestDoctor_UntrustedProxy(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t), "--allow-origin", "*")
	target, err := url.Parse(service.public)
	if err != nil {
		t.Fatal(err)
	}
	// It forwards requests as proxies do, and refuses upgrades.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		forward(w, r, target)
	}))
	defer proxy.Close()
	_, out, _ := call(t, variables(), "doctor", pageOf(t, `<script type="module" src="`+proxy.URL+`/tally.js"></script>`))
	for _, want := range []string{"hint  socket", "so the elements use a stream instead", "FAIL  address", "--trusted-proxy"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

func TestDoctor_BufferingProxy(t *testing.T) {
	t.Parallel()
	service := start(t, variables(), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--drain", "0s", "--store", sqlite(t), "--allow-origin", "*")
	target, err := url.Parse(service.public)
	if err != nil {
		t.Fatal(err)
	}
	// It buffers a stream until the stream ends, which is never.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/stream" {
			// The end of the client is only noticed after its body was read.
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			<-r.Context().Done()
			return
		}
		forward(w, r, target)
	}))
	defer proxy.Close()
	page := pageOf(t, `<script type="module" src="`+proxy.URL+`/tally.js"></script>`)
	code, out, _ := call(t, variables(), "doctor", "--timeout", "2s", page)
	if code != exitFailure || !strings.Contains(out, "FAIL  stream") || !strings.Contains(out, "proxy") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestPolicy_Allows(t *testing.T) {
	parse := func(text string) *url.URL {
		at, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	page, script := parse("https://blog.example.com/post"), parse("https://counts.example.com/tally.js")
	for text, want := range map[string]bool{
		"":                                   true,
		"img-src 'none'":                     true,
		"default-src 'self'":                 false,
		"default-src https:":                 true,
		"script-src *":                       true,
		"script-src *.example.com":           true,
		"script-src example.com":             false,
		"script-src counts.example.com:443":  true,
		"script-src counts.example.com:8443": false,
		"script-src https://counts.example.com/tally.js":                 true,
		"script-src https://counts.example.com/other/":                   false,
		"script-src http://counts.example.com":                           true,
		"script-src-elem 'none'; script-src *":                           false,
		"script-src 'nonce-abc'":                                         true,
		"script-src 'nonce-xyz' 'strict-dynamic' https:":                 false,
		"SCRIPT-SRC 'none'; script-src *":                                false,
		"script-src 'unsafe-inline' https://counts.example.com/tally.js": true,
	} {
		if got := parsePolicy(text).allowsScript(page, script, "abc"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for source, want := range map[string]bool{"wss://counts.example.com": true, "https://counts.example.com": false, "wss:": true, "https:": false} {
		if got := parsePolicy("connect-src "+source).allows("connect-src", page, parse("wss://counts.example.com/v1/ws")); got != want {
			t.Errorf("%q for a socket: %v", source, got)
		}
	}
	if !parsePolicy("default-src 'self'").allows("connect-src", page, parse("wss://blog.example.com/v1/ws")) {
		t.Error("'self' does not allow the page's own socket")
	}
}

// forward passes a request on and names the client, as a proxy does.
func forward(w http.ResponseWriter, r *http.Request, target *url.URL) {
	proxy := httputil.NewSingleHostReverseProxy(target) // it sets X-Forwarded-For
	proxy.FlushInterval = -1
	proxy.ServeHTTP(w, r)
}
