package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

const healthcheckDetails = `
Finds the instance by its own configuration: --config, environment and the flags
below.
`

var healthcheckFlags = []config.Setting{
	{Name: "url", Value: "URL", Help: "Ask this URL instead."},
	{Name: "live", Help: "Ask /healthz (alive) instead of /readyz (ready)."},
	{Name: "timeout", Value: "TIME", Default: "3s", Help: "Timeout."},
}

// maxHealthBytes bounds what is printed of an answer.
const maxHealthBytes = 4096

// healthcheck never ends with exit code 2, which container runtimes reserve.
func healthcheck(p *process) error {
	r := p.reader(healthcheckFlags)
	url := config.Read(r, "url", func(text string) (string, error) {
		_, err := parseServiceURL(text)
		return text, err
	})
	live := config.Read(r, "live", config.ParseBool)
	timeout := config.Read(r, "timeout", config.ParseDuration(time.Millisecond, time.Hour))
	problems := r.Problems
	if !r.Values["url"].IsGiven() {
		values, fileProblems := p.resolve()
		c, wrong := config.ParseListeners(values)
		url = healthURL(c, live)
		// Errors in other settings of the file do not matter here.
		if problems = append(problems, wrong...); len(problems) > 0 {
			problems = append(fileProblems, problems...)
		}
	}
	if len(problems) > 0 {
		printProblems(p.stderr, problems)
		return exitStatus(exitFailure)
	}
	if err := ask(p.ctx, url, timeout, p.stdout); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

// healthURL returns the URL of an instance with this configuration on this machine.
func healthURL(c config.Config, live bool) string {
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	if c.InternalListen != "" {
		return config.LocalURL(c.InternalListen) + path
	}
	return config.LocalURL(c.Listen) + c.BasePath + path
}

// ask returns an error unless url answers 200 within the timeout, and copies the answer to
// out.
func ask(ctx context.Context, url string, timeout time.Duration, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true} // no proxy, on this machine
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
