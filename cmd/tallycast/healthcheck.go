package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthcheckFlags are its own; that they have no group keeps them from being
// settings.
var healthcheckFlags = []definition{
	{name: "url", takes: "URL", help: "Ask this address instead."},
	{name: "live", help: "Ask /healthz, whether it is alive, instead of /readyz."},
	{name: "timeout", takes: "TIME", fallback: "3s", help: "How long to wait for the answer."},
}

// maxHealthBytes bounds what is shown of an answer.
const maxHealthBytes = 4096

// healthcheck asks and returns 0 or 1; containers keep 2 for themselves.
func healthcheck(p *process) int {
	r := &reader{values: layer(healthcheckFlags, p.flags, p.env, configFile{})}
	url := one(r, "url", func(text string) (string, error) {
		_, err := parseServiceURL(text)
		return text, err
	})
	live := one(r, "live", parseBool)
	timeout := one(r, "timeout", parseDuration(time.Millisecond, time.Hour))
	if r.values["url"].texts == nil {
		values, problems := p.resolve()
		r.values = values
		var found config
		r.readListeners(&found)
		url = healthURL(found, live)
		// What is wrong elsewhere in the file is for serve to say.
		if len(r.problems) > 0 {
			r.problems = append(problems, r.problems...)
		}
	}
	if len(r.problems) > 0 {
		refuse(p.stderr, r.problems)
		return exitFailure
	}
	if err := ask(p.ctx, url, timeout, p.stdout); err != nil {
		return fail(p.stderr, exitFailure, fmt.Errorf("%s: %w", url, err))
	}
	return exitOK
}

// healthURL is where an instance of this configuration answers on this machine.
func healthURL(c config, live bool) string {
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	if c.internalListen != "" {
		return localURL(c.internalListen) + path
	}
	return localURL(c.listen) + c.basePath + path
}

// localURL is the URL at which this machine reaches a listener's address.
func localURL(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	switch host {
	case "", "0.0.0.0", "::":
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// ask returns an error unless url answers 200 within the timeout, and copies
// what it says to out.
func ask(ctx context.Context, url string, timeout time.Duration, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy: it is this machine
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthBytes))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s: %s", response.Status, text)
	}
	fmt.Fprintln(out, text)
	return nil
}
