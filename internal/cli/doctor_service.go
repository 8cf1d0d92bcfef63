package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/eventstream"
	"github.com/tallycast/tallycast/internal/tally"
)

// probe returns a topic that the doctor reads and never changes.
func (c *pageCheck) probe() string { return c.site + "/likes/" + probeKey }

// unbuffer is the advice for a proxy that buffers the stream.
const unbuffer = "a proxy buffers it; turn buffering off for /v1/stream (nginx: proxy_buffering off)"

// checkCounts checks that the service has the page's site and allows its origin.
func (c *pageCheck) checkCounts() bool {
	counts, header, ok := c.readCounts("service", []string{c.probe()})
	if !ok {
		return false
	}
	if refused := counts[0].Error; refused != nil {
		what := "service"
		if refused.Code == tally.CodeOriginNotAllowed {
			what = "origin"
		}
		return c.fail(what, "%s: %s", refused.Code, refused.Message)
	}
	if allowed := header.Get("Access-Control-Allow-Origin"); c.crosses() && allowed != c.origin() && allowed != "*" {
		return c.fail("origin", "the answer has Access-Control-Allow-Origin %q: a proxy removes it or answers from a cache", allowed)
	}
	c.ok("origin", "%s may read and write site %s", c.origin(), c.site)
	return true
}

// readCounts reads the counts of topics as a page of the origin would. It reports failures
// under what, and a forbidden origin under origin.
func (c *pageCheck) readCounts(what string, topics []string) (counts []frame, header http.Header, ok bool) {
	response, err := c.post("v1/counts", map[string]any{"topics": topics})
	if err != nil {
		return nil, nil, c.fail(what, "the service does not answer: %v", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return nil, nil, c.fail("origin", "%s", reason(response.Body))
	default:
		return nil, nil, c.fail(what, "the service answers %s: %s", response.Status, reason(response.Body))
	}
	var answer struct{ Counts []frame }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxPageBytes)).Decode(&answer); err != nil || len(answer.Counts) != len(topics) {
		return nil, nil, c.fail(what, "the answer of %s is not one of tallycast", c.api)
	}
	return answer.Counts, response.Header, true
}

// checkStream checks that no proxy buffers the stream.
func (c *pageCheck) checkStream() {
	began := time.Now()
	response, err := c.post("v1/stream", map[string]any{"topics": []string{c.probe()}})
	if err != nil {
		c.fail("stream", "does not begin: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		c.fail("stream", "answers %s: %s", response.Status, reason(response.Body))
		return
	}
	_, err = eventstream.NewReader(response.Body).Next()
	took := time.Since(began).Round(time.Millisecond)
	switch {
	case err != nil:
		c.fail("stream", "sends no frames: %s", unbuffer)
	case took > firstFrameTimeout:
		c.fail("stream", "the first frame took %s: %s", took, unbuffer)
	default:
		c.ok("stream", "works, first frame after %s", took)
	}
}

// checkSocket checks that a WebSocket can be opened.
func (c *pageCheck) checkSocket() {
	request, err := http.NewRequestWithContext(c.ctx, http.MethodGet, c.api.String()+"v1/ws", nil)
	if err != nil {
		c.hint("socket", "%v", err)
		return
	}
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {c.origin()},
		// The example of RFC 6455; the frames are not read.
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.hint("socket", "does not open, so the elements use a stream instead: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		c.hint("socket", "the service answers %s, so the elements use a stream instead: a proxy must forward the headers Upgrade and Connection for /v1/ws", response.Status)
		return
	}
	c.ok("socket", "opens")
}

// checkAddress checks that the service knows the client's address.
func (c *pageCheck) checkAddress() {
	code, message, err := c.writeInvalid(c.probe())
	switch warning := c.proxyWarning(); {
	case err != nil:
		c.fail("address", "a write fails: %v", err)
	case code == tally.CodeBadVisitor:
		c.fail("address", "all visitors look the same: %s", message)
	case code != tally.CodeBadAmount:
		c.fail("address", "a write is refused: %s: %s", code, message)
	case warning != "":
		c.fail("address", "all visitors look the same: %s", warning)
	default:
		c.ok("address", "visitors are distinguished")
	}
}

// proxyWarning returns the service's warning about a trusted proxy that does not name its
// clients; empty if there is none, or if a proxy does not pass /readyz on.
func (c *pageCheck) proxyWarning() string {
	response, body, err := c.get(c.api.String()+"readyz", maxReasonBytes)
	if err != nil || response.Header.Get("Content-Type") != "application/json" {
		return ""
	}
	var ready struct{ Warnings []string }
	_ = json.Unmarshal(body, &ready) // anything else has no warnings
	for _, warning := range ready.Warnings {
		if strings.Contains(warning, "--trusted-proxy") {
			return warning
		}
	}
	return ""
}
