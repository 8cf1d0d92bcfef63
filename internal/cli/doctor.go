package cli

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
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
Loads the page as a browser would, finds the script and the elements, and sends the
service the requests of a page of that origin: does it allow the page, and does it have
the sites and metrics that the elements name? Nothing is counted. The exit code is 1 if
something prevents the widgets from working. Elements that scripts add are not seen.
`

// doctorCommand checks a page.
type doctorCommand struct{ timeout time.Duration }

func (c *doctorCommand) flags() []config.Setting {
	return []config.Setting{
		{Name: "timeout", Value: "TIME", Default: "10s", Parse: config.Into(&c.timeout, config.ParseDuration(time.Millisecond, time.Hour)), Help: "Timeout of each request."},
	}
}

const (
	// maxPageBytes bounds what is read of a page; the script element is near its top.
	maxPageBytes = 4 << 20
	// maxRedirects is how many redirects are followed.
	maxRedirects = 5
	// firstFrameTimeout is how long the first frame of a stream may take: it comes at once
	// unless a proxy buffers it.
	firstFrameTimeout = 3 * time.Second
)

// pageCheck checks one page and prints its findings.
type pageCheck struct {
	ctx    context.Context
	client *http.Client
	out    io.Writer
	failed bool // something prevents the widgets from working

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

func (c *doctorCommand) run(p *process) error {
	if _, err := parseServiceURL(p.args[0]); err != nil {
		return usagef("%q is not the URL of a page, such as https://blog.example.com/post%s", p.args[0], schemeHint(p.args[0]))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	check := &pageCheck{ctx: p.ctx, out: p.stdout, client: &http.Client{
		Transport: transport,
		Timeout:   c.timeout,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return nil
		},
	}}
	check.run(p.args[0])
	if check.failed {
		return exitStatus(exitFailure)
	}
	return nil
}

// run runs the checks until one makes the next ones pointless.
func (c *pageCheck) run(page string) {
	if !c.readPage(page) || !c.findScript() || !c.loadScript() {
		return
	}
	c.checkPolicies()
	if c.checkCounts() {
		c.checkStream()
		c.checkSocket()
		c.checkAddress()
		c.checkTopics(c.elements)
	}
}

func (c *pageCheck) ok(what, format string, args ...any) {
	fmt.Fprintf(c.out, "ok    %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

func (c *pageCheck) hint(what, format string, args ...any) {
	fmt.Fprintf(c.out, "hint  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

// fail reports what prevents the widgets from working, and returns false.
func (c *pageCheck) fail(what, format string, args ...any) bool {
	c.failed = true
	fmt.Fprintf(c.out, "FAIL  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
	return false
}

// origin returns the page's origin as browsers send it.
func (c *pageCheck) origin() string { return c.page.Scheme + "://" + c.page.Host }

// get sends the request of a page of the origin and reads up to limit bytes.
func (c *pageCheck) get(address string, limit int64) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	if c.page != nil {
		request.Header.Set("Origin", c.origin())
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	return response, body, err
}

func (c *pageCheck) readPage(page string) bool {
	response, body, err := c.get(page, maxPageBytes)
	if err != nil {
		return c.fail("page", "cannot be read: %v", err)
	}
	if response.StatusCode != http.StatusOK {
		return c.fail("page", "answers %s", response.Status)
	}
	c.page, c.header, c.html = response.Request.URL, response.Header, string(body)
	c.ok("page", "%s", c.page)
	return true
}

var (
	comments       = regexp.MustCompile(`(?s)<!--.*?-->`)
	scriptElements = regexp.MustCompile(`(?is)<script\b([^>]*)>`)
	metaElements   = regexp.MustCompile(`(?is)<meta\b([^>]*)>`)
	attributes     = regexp.MustCompile(`(?s)([a-zA-Z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?`)
	scriptNames    = regexp.MustCompile(`(?:^|/)(tally(?:-[0-9a-f]{16})?\.js)$`)
)

// attributesOf parses the attributes of a tag.
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

func (c *pageCheck) findScript() bool {
	text := comments.ReplaceAllString(c.html, "")
	for _, tag := range scriptElements.FindAllStringSubmatch(text, -1) {
		has := attributesOf(tag[1])
		at, err := c.page.Parse(has["src"])
		if err != nil || has["src"] == "" || !scriptNames.MatchString(at.Path) {
			continue
		}
		c.script = script{url: at, integrity: has["integrity"], nonce: has["nonce"], module: strings.EqualFold(has["type"], "module")}
		c.api, _ = at.Parse(".") // cannot fail: "." is valid
		c.api.RawQuery, c.api.Fragment = "", ""
		if c.site = at.Query().Get("site"); c.site == "" {
			c.site = "default"
		}
		break
	}
	if c.script.url == nil {
		return c.fail("script", `the page loads none; it needs <script type="module" src="https://tally.example.com/tally.js"></script> (a page that bundles the widgets cannot be checked)`)
	}
	if !c.script.module {
		return c.fail("script", `%s is loaded without type="module", and does not run`, c.script.url)
	}
	if c.page.Scheme == "https" && c.script.url.Scheme == "http" {
		return c.fail("script", "an https page does not load %s: give the service a certificate", c.script.url)
	}
	if c.elements = elementsOf(text); len(c.elements) == 0 {
		c.hint("elements", "the page has none yet; scripts may add them")
	}
	c.site = siteOf(c.elements, c.site)
	c.checkElements(c.elements)
	return true
}

func (c *pageCheck) loadScript() bool {
	response, body, err := c.get(c.script.url.String(), maxPageBytes)
	switch {
	case err != nil:
		return c.fail("script", "cannot be loaded: %v", err)
	case response.StatusCode != http.StatusOK:
		return c.fail("script", "%s answers %s", c.script.url, response.Status)
	case !strings.Contains(response.Header.Get("Content-Type"), "javascript"):
		return c.fail("script", "%s is %q and no script: something else answers at this address", c.script.url, response.Header.Get("Content-Type"))
	case c.crosses() && response.Header.Get("Access-Control-Allow-Origin") == "":
		return c.fail("script", "%s comes without Access-Control-Allow-Origin: a proxy removes it", c.script.url)
	}
	if c.script.integrity != "" {
		sum := sha512.Sum384(body)
		is := "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
		if strings.Contains(c.script.integrity, "sha384-") && !strings.Contains(c.script.integrity, is) {
			return c.fail("script", "does not match its integrity attribute; it is %s now: load it by its hash, as the gallery shows", is)
		}
		if strings.HasSuffix(c.script.url.Path, "/tally.js") {
			c.hint("script", "tally.js changes with each release and its integrity attribute does not: load it by its hash, as the gallery shows")
		}
	}
	c.ok("script", "%s, %d bytes", c.script.url, len(body))
	return true
}

// crosses reports whether the service has another origin than the page.
func (c *pageCheck) crosses() bool {
	return c.api.Scheme != c.page.Scheme || c.api.Host != c.page.Host
}

// checkPolicies checks that each Content-Security-Policy of the page, in headers and in
// meta elements, allows what the widgets do.
func (c *pageCheck) checkPolicies() {
	texts := c.header.Values("Content-Security-Policy")
	for _, tag := range metaElements.FindAllStringSubmatch(comments.ReplaceAllString(c.html, ""), -1) {
		if has := attributesOf(tag[1]); strings.EqualFold(has["http-equiv"], "content-security-policy") {
			texts = append(texts, has["content"])
		}
	}
	socket := *c.api
	socket.Scheme = strings.Replace(c.api.Scheme, "http", "ws", 1)
	ok := true
	for _, text := range texts {
		for each := range strings.SplitSeq(text, ",") { // a header may carry several
			policy := parsePolicy(each)
			if !policy.allowsScript(c.page, c.script.url, c.script.nonce) {
				ok = c.fail("policy", "forbids the script: add %s://%s to script-src", c.api.Scheme, c.api.Host)
			}
			if !policy.allows("connect-src", c.page, c.api) {
				ok = c.fail("policy", "forbids requests: add %s://%s to connect-src", c.api.Scheme, c.api.Host)
			} else if !policy.allows("connect-src", c.page, &socket) {
				c.hint("policy", "forbids the WebSocket, so that streaming is used: add %s://%s to connect-src", socket.Scheme, socket.Host)
			}
		}
	}
	switch {
	case len(texts) == 0:
		c.ok("policy", "the page has none")
	case ok:
		c.ok("policy", "allows the widgets")
	}
}

// probeKey is the key of the topics that the doctor asks for and never changes.
const probeKey = "tallycast-doctor"

// probe returns such a topic.
func (c *pageCheck) probe() string { return c.site + "/likes/" + probeKey }

// post sends the service the request of a page of the origin; the body has the type that
// the widgets use.
func (c *pageCheck) post(path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(c.ctx, http.MethodPost, c.api.String()+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	request.Header.Set("Origin", c.origin())
	return c.client.Do(request)
}
