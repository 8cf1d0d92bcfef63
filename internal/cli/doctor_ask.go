package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// askCounts asks what the page's first number would ask, and so whether the
// service knows its site and allows its origin.
func (x *examination) askCounts() bool {
	response, err := x.post("v1/counts", map[string]any{"topics": []string{x.probe()}})
	if err != nil {
		return x.fault("service", "does not answer: %v", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why := reason(response.Body)
		if response.StatusCode == http.StatusForbidden {
			return x.fault("origin", "%s", why)
		}
		return x.fault("service", "answers %s: %s", response.Status, why)
	}
	var said struct{ Counts []frame }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxReasonBytes)).Decode(&said); err != nil || len(said.Counts) != 1 {
		return x.fault("service", "%s does not speak as tallycast does", x.api)
	}
	if refused := said.Counts[0].Error; refused != nil {
		what := "service"
		if refused.Code == "origin_not_allowed" {
			what = "origin"
		}
		return x.fault(what, "%s: %s", refused.Code, refused.Message)
	}
	if allowed := response.Header.Get("Access-Control-Allow-Origin"); x.crosses() && allowed != x.origin() && allowed != "*" {
		return x.fault("origin", "the answer has Access-Control-Allow-Origin %q: a proxy takes it away or answers from a cache", allowed)
	}
	x.well("origin", "%s may read and write site %s", x.origin(), x.site)
	return true
}

// askStream finds out whether something between collects what should flow.
func (x *examination) askStream() {
	began := time.Now()
	response, err := x.post("v1/stream", map[string]any{"topics": []string{x.probe()}})
	if err != nil {
		x.fault("stream", "does not begin: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		x.fault("stream", "answers %s: %s", response.Status, reason(response.Body))
		return
	}
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, maxFrameBytes)
	for scanner.Scan() {
		if !strings.HasPrefix(scanner.Text(), "data:") {
			continue
		}
		took := time.Since(began).Round(time.Millisecond)
		if took > firstFrameWithin {
			x.fault("stream", "its first frame took %s: a proxy buffers it; turn buffering off for /v1/stream (nginx: proxy_buffering off)", took)
			return
		}
		x.well("stream", "flows, first frame after %s", took)
		return
	}
	x.fault("stream", "brings nothing: a proxy buffers it; turn buffering off for /v1/stream (nginx: proxy_buffering off)")
}

// askSocket finds out whether an upgrade gets through.
func (x *examination) askSocket() {
	request, err := http.NewRequestWithContext(x.ctx, http.MethodGet, x.api.String()+"v1/ws", nil)
	if err != nil {
		x.hint("socket", "%v", err)
		return
	}
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {x.origin()},
		// The example of RFC 6455: nobody listens to what follows.
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	response, err := x.client.Do(request)
	if err != nil {
		x.hint("socket", "does not open, streaming serves instead: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols {
		x.hint("socket", "%s, streaming serves instead: let Upgrade and Connection through for /v1/ws", response.Status)
		return
	}
	x.well("socket", "opens")
}

// askAddress finds out whether the service knows who is asking. What it sends is
// refused in either case: the amount is none.
func (x *examination) askAddress() {
	response, err := x.post("v1/"+x.probe(), map[string]any{"amount": -1})
	if err != nil {
		x.fault("address", "a write is not answered: %v", err)
		return
	}
	defer response.Body.Close()
	why := reason(response.Body)
	switch code, _, _ := strings.Cut(why, ":"); {
	case code == "bad_amount":
		if warning := x.proxyWarning(); warning != "" {
			x.fault("address", "all visitors look the same: %s", warning)
			return
		}
		x.well("address", "visitors are told apart")
	case code == "bad_visitor":
		x.fault("address", "all visitors look the same: %s", why)
	default:
		x.fault("address", "a write answers %s: %s", response.Status, why)
	}
}

// proxyWarning returns what the service itself noticed of a trusted proxy that does not
// say who its clients are, or "". Not every proxy passes /readyz on.
func (x *examination) proxyWarning() string {
	response, body, err := x.get(x.api.String()+"readyz", maxReasonBytes)
	if err != nil || response.Header.Get("Content-Type") != "application/json" {
		return ""
	}
	var ready struct{ Warnings []string }
	_ = json.Unmarshal(body, &ready) // something else answers: there are no warnings
	for _, warning := range ready.Warnings {
		if strings.Contains(warning, "--trusted-proxy") {
			return warning
		}
	}
	return ""
}
