package cli

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

const doctorDetails = `
Loads the page as a browser does, finds the script and the elements, and sends the
service the requests of such a page, to check that it allows the page's origin and has the
sites and metrics of the elements. Nothing is counted. The exit code is 1 if something
prevents the elements from working. Elements that scripts add are not found.
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
	// firstFrameTimeout is how long the first frame of a stream may take. Without a proxy that
	// buffers it, the frame comes at once.
	firstFrameTimeout = 3 * time.Second
)

// pageCheck checks one page and prints its findings.
type pageCheck struct {
	ctx    context.Context
	client *http.Client
	out    io.Writer
	failed bool // something prevents the elements from working

	page     *url.URL // after redirects
	header   http.Header
	elements []element // of the page
	widgets  []element // those whose name begins with tally
	script   element   // loads the widgets
	source   *url.URL  // of the script
	api      *url.URL  // the service, with a slash at the end
	site     string
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

// run runs the checks, and stops after one that the next ones depend on has failed.
func (c *pageCheck) run(page string) {
	if !c.readPage(page) || !c.findScript() {
		return
	}
	c.checkElements()
	if !c.loadScript() {
		return
	}
	c.checkPolicies()
	if c.checkCounts() {
		c.checkStream()
		c.checkSocket()
		c.checkAddress()
		c.checkTopics()
	}
}

func (c *pageCheck) ok(what, format string, args ...any) {
	fmt.Fprintf(c.out, "ok    %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

func (c *pageCheck) hint(what, format string, args ...any) {
	fmt.Fprintf(c.out, "hint  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
}

// fail reports a fault that prevents the elements from working, and returns false.
func (c *pageCheck) fail(what, format string, args ...any) bool {
	c.failed = true
	fmt.Fprintf(c.out, "FAIL  %-12s %s\n", what, printable(fmt.Sprintf(format, args...)))
	return false
}

// origin returns the page's origin as browsers send it.
func (c *pageCheck) origin() string { return c.page.Scheme + "://" + c.page.Host }

// send sends a request as a page of this origin does. A body has the type that the elements use.
func (c *pageCheck) send(method, address string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body) // texts and numbers do not fail
	}
	request, err := http.NewRequestWithContext(c.ctx, method, address, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	if c.page != nil {
		request.Header.Set("Origin", c.origin())
	}
	return c.client.Do(request)
}

// get sends a GET and reads up to limit bytes of the body.
func (c *pageCheck) get(address string, limit int64) (*http.Response, []byte, error) {
	response, err := c.send(http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	return response, body, err
}

// post sends a body to a path of the service.
func (c *pageCheck) post(path string, body any) (*http.Response, error) {
	return c.send(http.MethodPost, c.api.String()+path, body)
}

func (c *pageCheck) readPage(page string) bool {
	response, body, err := c.get(page, maxPageBytes)
	if err != nil {
		return c.fail("page", "cannot be read: %v", err)
	}
	if response.StatusCode != http.StatusOK {
		return c.fail("page", "answers %s", response.Status)
	}
	c.page, c.header, c.elements = response.Request.URL, response.Header, elementsOf(body)
	c.ok("page", "%s", c.page)
	return true
}

// scriptNames matches the paths of the script, with and without the hash of its content.
var scriptNames = regexp.MustCompile(`(?:^|/)tally(?:-[0-9a-f]{16})?\.js$`)

func (c *pageCheck) findScript() bool {
	for _, e := range c.elements {
		source, err := c.page.Parse(e.attributes["src"])
		if e.name == "script" && err == nil && scriptNames.MatchString(source.Path) {
			c.script, c.source = e, source
			break
		}
	}
	switch {
	case c.source == nil:
		return c.fail("script", `the page loads none; it needs <script type="module" src="https://counts.example.com/tally.js"></script> (a page that bundles the elements cannot be checked)`)
	case !strings.EqualFold(c.script.attributes["type"], "module"):
		return c.fail("script", `%s is loaded without type="module", and does not run`, c.source)
	case c.page.Scheme == "https" && c.source.Scheme == "http":
		return c.fail("script", "an https page does not load %s: give the service a certificate", c.source)
	}
	c.api, _ = c.source.Parse(".") // cannot fail: "." is valid
	c.api.RawQuery, c.api.Fragment = "", ""
	return true
}

// loadScript loads the script as the page does.
func (c *pageCheck) loadScript() bool {
	response, body, err := c.get(c.source.String(), maxPageBytes)
	switch {
	case err != nil:
		return c.fail("script", "cannot be loaded: %v", err)
	case response.StatusCode != http.StatusOK:
		return c.fail("script", "%s answers %s", c.source, response.Status)
	case !strings.Contains(response.Header.Get("Content-Type"), "javascript"):
		return c.fail("script", "%s has the type %q, which is no script: another program answers at this address", c.source, response.Header.Get("Content-Type"))
	case c.crosses() && response.Header.Get("Access-Control-Allow-Origin") == "":
		return c.fail("script", "the answer for %s lacks Access-Control-Allow-Origin: a proxy removes it", c.source)
	}
	if integrity := c.script.attributes["integrity"]; integrity != "" {
		sum := sha512.Sum384(body)
		is := "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
		if strings.Contains(integrity, "sha384-") && !strings.Contains(integrity, is) {
			return c.fail("script", "its content does not match its integrity attribute; the hash is %s: load the script by its hash, as the gallery shows", is)
		}
		if strings.HasSuffix(c.source.Path, "/tally.js") {
			c.hint("script", "tally.js changes with each release, after which it will not match its integrity attribute: load it by its hash, as the gallery shows")
		}
	}
	c.ok("script", "%s, %d bytes", c.source, len(body))
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
	for _, e := range c.elements {
		if e.name == "meta" && strings.EqualFold(e.attributes["http-equiv"], "content-security-policy") {
			texts = append(texts, e.attributes["content"])
		}
	}
	socket := *c.api
	socket.Scheme = strings.Replace(c.api.Scheme, "http", "ws", 1)
	ok := true
	for _, text := range texts {
		for each := range strings.SplitSeq(text, ",") { // a header may carry several
			policy := parsePolicy(each)
			if !policy.allowsScript(c.page, c.source, c.script.attributes["nonce"]) {
				ok = c.fail("policy", "forbids the script: add %s://%s to script-src", c.api.Scheme, c.api.Host)
			}
			if !policy.allows("connect-src", c.page, c.api) {
				ok = c.fail("policy", "forbids requests: add %s://%s to connect-src", c.api.Scheme, c.api.Host)
			} else if !policy.allows("connect-src", c.page, &socket) {
				c.hint("policy", "forbids the WebSocket, so the elements use a stream instead: add %s://%s to connect-src", socket.Scheme, socket.Host)
			}
		}
	}
	switch {
	case len(texts) == 0:
		c.ok("policy", "the page has none")
	case ok:
		c.ok("policy", "allows the elements")
	}
}
