package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tallycast/tallycast/internal/config"
)

const healthcheckDetails = `
Finds the instance by the configuration that it was started with: --config, the
environment and the flags below.
`

// healthcheckName is the command that fails with exit code 1 also for an invalid configuration,
// since container runtimes reserve 2.
const healthcheckName = "healthcheck"

// healthcheckCommand requests the health of an instance.
type healthcheckCommand struct {
	url     string // empty: that of the configuration
	live    bool
	timeout time.Duration
}

func (c *healthcheckCommand) flags() []config.Setting {
	return slices.Concat([]config.Setting{
		{Name: "url", Value: "URL", Parse: config.Into(&c.url, checkServiceURL), Help: "Ask this URL instead."},
		{Name: "live", Parse: config.Into(&c.live, config.ParseBool), Help: "Ask /healthz (alive) instead of /readyz (ready)."},
		{Name: "timeout", Value: "TIME", Default: "3s", Parse: config.Into(&c.timeout, config.ParseDuration(time.Millisecond, time.Hour)), Help: "Timeout."},
	}, config.ListenSettings, []config.Setting{config.FileSetting})
}

// maxHealthBytes bounds what is printed of an answer.
const maxHealthBytes = 4096

func (c *healthcheckCommand) run(p *process) error {
	if c.url == "" {
		values, fileProblems := p.resolve()
		configured, problems := config.ParseListeners(values)
		if len(problems) > 0 { // errors in other settings of the file do not matter here
			return configError(append(fileProblems, problems...))
		}
		c.url = healthURL(configured, c.live)
	}
	if err := ask(p.ctx, c.url, c.timeout, p.stdout); err != nil {
		return fmt.Errorf("%s: %w", c.url, err)
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

// ask returns an error unless url answers 200 within the timeout. It writes the answer to out.
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
