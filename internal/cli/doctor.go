package cli

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

const doctorDetails = `
Reads the page as a browser would, finds the script and the elements, and asks the
service what a page of that origin would ask: whether it allows the page, and has
the sites and metrics that the elements name. Nothing is counted. Exit code 1 when
something keeps the widgets from working. Elements that scripts add are not seen.
`

var doctorFlags = []config.Setting{
	{Name: "timeout", Value: "TIME", Default: "10s", Help: "How long each answer may take."},
}

const (
	// maxPageBytes bounds what is read of a page: a script's element is near its top.
	maxPageBytes = 4 << 20
	// maxRedirects is how often a page may lead elsewhere.
	maxRedirects = 5
	// firstFrameWithin is how long the first frame of a stream may take: it comes
	// at once unless something between collects it.
	firstFrameWithin = 3 * time.Second
)

// examination is one visit of the doctor's.
type examination struct {
	ctx    context.Context
	client *http.Client
	out    io.Writer
	ill    bool // something keeps the widgets from working

	page     *url.URL // after redirects
	header   http.Header
	html     string
	script   script
	elements []element
	api      *url.URL // the service, with a slash at the end
	site     string
}

// script is the element that loads the widgets.
type script struct {
	url              *url.URL
	integrity, nonce string
	module           bool
}

func doctor(p *process) int {
	r := p.reader(doctorFlags)
	timeout := config.Read(r, "timeout", config.ParseDuration(time.Millisecond, time.Hour))
	if len(r.Problems) > 0 {
		return fail(p.stderr, exitUsage, r.Problems.Err())
	}
	if len(p.args) != 1 {
		return fail(p.stderr, exitUsage, errors.New("name one page, such as https://blog.example.com/post"))
	}
	if _, err := parseServiceURL(p.args[0]); err != nil {
		return fail(p.stderr, exitUsage, fmt.Errorf("%q is no address of a page, such as https://blog.example.com/post%s", p.args[0], schemeHint(p.args[0])))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	x := &examination{ctx: p.ctx, out: p.stdout, client: &http.Client{
		Transport: transport,
		Timeout:   timeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}}
	x.examine(p.args[0])
	if x.ill {
		return exitFailure
	}
	return exitOK
}

// examine goes on as long as what is found allows the next question.
func (x *examination) examine(page string) {
	if !x.readPage(page) || !x.findScript() || !x.loadScript() {
		return
	}
	x.checkPolicies()
	if x.askCounts() {
		x.askStream()
		x.askSocket()
		x.askAddress()
		x.askElements(x.elements)
	}
}

func (x *examination) well(what, format string, args ...any) {
	fmt.Fprintf(x.out, "ok    %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

func (x *examination) hint(what, format string, args ...any) {
	fmt.Fprintf(x.out, "hint  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

// fault notes what keeps the widgets from working, and returns false.
func (x *examination) fault(what, format string, args ...any) bool {
	x.ill = true
	fmt.Fprintf(x.out, "FAIL  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
	return false
}

// origin is what a browser would call the page's.
func (x *examination) origin() string { return x.page.Scheme + "://" + x.page.Host }

// get asks as a page of the origin would, and reads up to limit bytes.
func (x *examination) get(address string, limit int64) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(x.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if x.page != nil {
		request.Header.Set("Origin", x.origin())
	}
	response, err := x.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	return response, body, err
}

func (x *examination) readPage(page string) bool {
	response, body, err := x.get(page, maxPageBytes)
	if err != nil {
		return x.fault("page", "cannot be read: %v", err)
	}
	if response.StatusCode != http.StatusOK {
		return x.fault("page", "answers %s", response.Status)
	}
	x.page, x.header, x.html = response.Request.URL, response.Header, string(body)
	x.well("page", "%s", x.page)
	return true
}

var (
	comments       = regexp.MustCompile(`(?s)<!--.*?-->`)
	scriptElements = regexp.MustCompile(`(?is)<script\b([^>]*)>`)
	metaElements   = regexp.MustCompile(`(?is)<meta\b([^>]*)>`)
	attributes     = regexp.MustCompile(`(?s)([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?`)
	scriptNames    = regexp.MustCompile(`(?:^|/)(tally(?:-[0-9a-f]{16})?\.js)$`)
)

// attributesOf reads what stands in a tag.
func attributesOf(tag string) map[string]string {
	found := map[string]string{}
	for _, m := range attributes.FindAllStringSubmatch(tag, -1) {
		name := strings.ToLower(m[1])
		if _, ok := found[name]; !ok {
			found[name] = html.UnescapeString(m[2] + m[3] + m[4])
		}
	}
	return found
}

func (x *examination) findScript() bool {
	text := comments.ReplaceAllString(x.html, "")
	for _, tag := range scriptElements.FindAllStringSubmatch(text, -1) {
		has := attributesOf(tag[1])
		at, err := x.page.Parse(has["src"])
		if err != nil || has["src"] == "" || !scriptNames.MatchString(at.Path) {
			continue
		}
		x.script = script{url: at, integrity: has["integrity"], nonce: has["nonce"], module: strings.EqualFold(has["type"], "module")}
		x.api, _ = at.Parse(".") // a path that parsed has a directory
		x.api.RawQuery, x.api.Fragment = "", ""
		if x.site = at.Query().Get("site"); x.site == "" {
			x.site = "default"
		}
		break
	}
	if x.script.url == nil {
		return x.fault("script", `the page loads none; it needs <script type="module" src="https://tally.example.com/tally.js"></script> (a page that bundles the widgets cannot be examined)`)
	}
	if !x.script.module {
		return x.fault("script", `%s is loaded without type="module", and does not run`, x.script.url)
	}
	if x.page.Scheme == "https" && x.script.url.Scheme == "http" {
		return x.fault("script", "%s is not loaded by a page of https: give the service a certificate", x.script.url)
	}
	if x.elements = elementsOf(text); len(x.elements) == 0 {
		x.hint("elements", "the page has none yet; scripts may add them")
	}
	x.site = siteOf(x.elements, x.site)
	x.checkElements(x.elements)
	return true
}

func (x *examination) loadScript() bool {
	response, body, err := x.get(x.script.url.String(), maxPageBytes)
	switch {
	case err != nil:
		return x.fault("script", "cannot be loaded: %v", err)
	case response.StatusCode != http.StatusOK:
		return x.fault("script", "%s answers %s", x.script.url, response.Status)
	case !strings.Contains(response.Header.Get("Content-Type"), "javascript"):
		return x.fault("script", "%s is %q and no script: something else answers at this address", x.script.url, response.Header.Get("Content-Type"))
	case x.crosses() && response.Header.Get("Access-Control-Allow-Origin") == "":
		return x.fault("script", "%s comes without Access-Control-Allow-Origin: a proxy takes it away", x.script.url)
	}
	if x.script.integrity != "" {
		sum := sha512.Sum384(body)
		is := "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
		if strings.Contains(x.script.integrity, "sha384-") && !strings.Contains(x.script.integrity, is) {
			return x.fault("script", "is not what its integrity says; it is %s now: name it by its hash, as the gallery prints it", is)
		}
		if strings.HasSuffix(x.script.url.Path, "/tally.js") {
			x.hint("script", "tally.js changes with each release and its integrity does not: name it by its hash, as the gallery prints it")
		}
	}
	x.well("script", "%s, %d bytes", x.script.url, len(body))
	return true
}

// crosses tells whether the service is on another origin than the page.
func (x *examination) crosses() bool {
	return x.api.Scheme != x.page.Scheme || x.api.Host != x.page.Host
}

// checkPolicies reads the page's Content-Security-Policy, of headers and of meta
// elements: each must allow what the widgets do.
func (x *examination) checkPolicies() {
	texts := x.header.Values("Content-Security-Policy")
	for _, tag := range metaElements.FindAllStringSubmatch(comments.ReplaceAllString(x.html, ""), -1) {
		if has := attributesOf(tag[1]); strings.EqualFold(has["http-equiv"], "content-security-policy") {
			texts = append(texts, has["content"])
		}
	}
	socket := *x.api
	socket.Scheme = strings.Replace(x.api.Scheme, "http", "ws", 1)
	well := true
	for _, text := range texts {
		for each := range strings.SplitSeq(text, ",") { // a header may carry several
			policy := parsePolicy(each)
			if !policy.allowsScript(x.page, x.script.url, x.script.nonce) {
				well = x.fault("policy", "forbids the script: add %s://%s to script-src", x.api.Scheme, x.api.Host)
			}
			if !policy.allows("connect-src", x.page, x.api) {
				well = x.fault("policy", "forbids requests: add %s://%s to connect-src", x.api.Scheme, x.api.Host)
			} else if !policy.allows("connect-src", x.page, &socket) {
				x.hint("policy", "forbids the WebSocket, streaming serves instead: add %s://%s to connect-src", socket.Scheme, socket.Host)
			}
		}
	}
	switch {
	case len(texts) == 0:
		x.well("policy", "the page has none")
	case well:
		x.well("policy", "lets the widgets work")
	}
}

// probeKey is the key of the topics that are read and never written.
const probeKey = "tallycast-doctor"

// probe is such a topic.
func (x *examination) probe() string { return x.site + "/likes/" + probeKey }

// post asks the service as a page of the origin would; the body goes as browsers
// send it.
func (x *examination) post(path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(x.ctx, http.MethodPost, x.api.String()+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	request.Header.Set("Origin", x.origin())
	return x.client.Do(request)
}
