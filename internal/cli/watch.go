package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/eventstream"
	"github.com/tallycast/tallycast/internal/server"
	"github.com/tallycast/tallycast/internal/tally"
)

const watchDetails = `
A topic is site/metric/key, such as default/likes/hello. On a terminal each topic has a
line with its count and the growth of the last half minute; elsewhere each change is
printed as a line.
`

const watchExamples = `
Examples:
  tallycast watch default/likes/hello default/visitors/site
  tallycast watch --url https://counts.example.com blog/likes/hello | tee likes.log
`

// watchCommand shows counts as they change.
type watchCommand struct{ publicService }

// publicService is the service that a command reads as a visitor does.
type publicService struct {
	at     string        // the URL of the service
	source config.Source // the setting that named it
}

// flags name the service by --url, or by --at as in all other commands.
func (c *publicService) flags() []config.Setting {
	return []config.Setting{
		{Name: "url", Value: "URL", Default: "http://localhost:8080", Parse: c.parseService, Help: "URL of the service, with its base path."},
		{Name: "at", Group: groupService, Value: "URL", Alternative: "url", Help: "The same as --url, under the name that other commands use."},
	}
}

func (c *publicService) parseService(r *config.Reader, name string) {
	if r.GivenOnce("the service", name, "at") && r.Values["at"].IsGiven() {
		name = "at"
	}
	c.at, c.source = config.Read(r, name, parseServiceURL), r.Values[name].Source
}

const (
	// watchTimeout ends a stream without frames: the service sends one at least every 25 s.
	watchTimeout = 60 * time.Second
	// The backoff before a stream is opened again doubles from the shortest to the longest.
	minWatchBackoff, maxWatchBackoff = time.Second, 30 * time.Second
	// sampleInterval is the time between two samples of a sparkline.
	sampleInterval = time.Second
	// maxReasonBytes bounds what is read of an error.
	maxReasonBytes = 8 << 10
)

// frame is a frame of a stream.
type frame struct {
	Topic   string           `json:"topic"`
	Count   int64            `json:"count"`
	Options tally.Options    `json:"options"`
	Event   string           `json:"event"`
	Error   *admin.ItemError `json:"error"`
}

// numbers returns the count, and that of each option.
func (f frame) numbers() tally.Numbers { return tally.Numbers{Total: f.Count, Options: f.Options} }

// run shows the counts of topics until the process should end.
func (c *watchCommand) run(p *process) error {
	topics, err := parseTopics(p.args)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "service: %s (%s)\n", printable(c.at), c.source)
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	frames := make(chan frame)
	ended := make(chan error, 1)
	// Ends with ctx, or when the service refuses.
	go func() {
		ended <- follow(ctx, c.at, topics, frames, p.stderr)
	}()
	show, tick := func(f frame, at time.Time) { printLine(p.stdout, f, at) }, func() {}
	if server.IsTerminal(p.stdout) {
		b := newBoard(p.stdout, topics)
		show, tick = b.show, b.tick
	}
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case f := <-frames:
			show(f, time.Now())
		case <-ticker.C:
			tick()
		case err := <-ended:
			if err != nil && p.ctx.Err() == nil {
				return err
			}
			return nil
		}
	}
}

// parseServiceURL parses the URL of a service and removes the slash at its end.
func parseServiceURL(text string) (string, error) {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return "", fmt.Errorf("%q is not the URL of a service, such as https://counts.example.com%s", text, schemeHint(text))
	}
	at.RawQuery, at.Fragment = "", ""
	return strings.TrimRight(at.String(), "/"), nil
}

// checkServiceURL is [parseServiceURL] that returns text as it is.
func checkServiceURL(text string) (string, error) {
	_, err := parseServiceURL(text)
	return text, err
}

// schemeHint proposes text with a scheme; empty if it lacks more than that.
func schemeHint(text string) string {
	if strings.Contains(text, "://") {
		return ""
	}
	if at, err := url.Parse("http://" + text); err != nil || at.Host == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean http://%s?", text)
}

// errRefused means that another attempt would get the same answer.
var errRefused = errors.New("refused")

// follow sends the frames of a stream to frames, and opens the stream again when it ends. It
// returns nil when ctx ends, or errRefused.
func follow(ctx context.Context, at string, topics []string, frames chan<- frame, log io.Writer) error {
	backoff := minWatchBackoff
	for {
		received, err := followOnce(ctx, at, topics, frames)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRefused):
			return err
		case received:
			backoff = minWatchBackoff
		}
		fmt.Fprintf(log, "tallycast: %v; trying again\n", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff/2 + rand.N(backoff)/2):
		}
		backoff = min(2*backoff, maxWatchBackoff)
	}
}

// followOnce reads one stream to its end, and reports whether it received a frame.
func followOnce(ctx context.Context, at string, topics []string, frames chan<- frame) (received bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(watchTimeout, cancel)
	defer silence.Stop()
	body, _ := json.Marshal(map[string][]string{"topics": topics}) // texts do not fail
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/v1/stream", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return false, connectionError(at, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		err := fmt.Errorf("%s answered %s: %s", at, response.Status, reason(response.Body))
		if response.StatusCode == http.StatusNotFound {
			err = fmt.Errorf("%w. --at should be the URL of the service, with its base path", err)
		}
		if response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		return false, err
	}
	watched := map[string]*admin.ItemError{} // the error of each topic; nil if it has none
	for _, topic := range topics {
		watched[topic] = nil
	}
	for events := eventstream.NewReader(response.Body); ; {
		data, err := events.Next()
		if errors.Is(err, io.EOF) {
			return received, errors.New("the stream ended")
		}
		if err != nil {
			return received, fmt.Errorf("the stream was interrupted: %w", err)
		}
		var f frame
		if err := json.Unmarshal(data, &f); err != nil {
			return received, fmt.Errorf("%s answered with unexpected data: %w", at, err)
		}
		received = true
		silence.Reset(watchTimeout)
		select {
		case frames <- f:
		case <-ctx.Done():
			return received, ctx.Err()
		}
		if f.Topic == "" {
			continue
		}
		watched[f.Topic] = f.Error
		if err := allRefused(watched); err != nil {
			return false, err
		}
	}
}

// temporary are the codes of errors after which another attempt may succeed.
var temporary = []tally.Code{tally.CodeStoreUnavailable, tally.CodeRateLimited, tally.CodeInternal}

// allRefused returns an error if every topic has one: errRefused, unless one of them is
// temporary.
func allRefused(watched map[string]*admin.ItemError) error {
	permanent := true
	var reasons []string
	for topic, why := range watched {
		if why == nil {
			return nil
		}
		permanent = permanent && !slices.Contains(temporary, why.Code)
		reasons = append(reasons, printable(fmt.Sprintf("%s: %s: %s", topic, why.Code, why.Message)))
	}
	slices.Sort(reasons)
	err := fmt.Errorf("no topic is left to watch: %s", strings.Join(reasons, "; "))
	if permanent {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// reason returns the message of a problem document, or the first line of another text.
func reason(body io.Reader) string {
	code, message, err := readProblem(body)
	switch {
	case err != nil:
		return err.Error()
	case code != "":
		message = string(code) + ": " + message
	}
	return printable(message)
}

// readProblem returns the code and the message of a problem document. Of another text it
// returns the first line and no code.
func readProblem(body io.Reader) (code tally.Code, message string, err error) {
	text, err := io.ReadAll(io.LimitReader(body, maxReasonBytes))
	if err != nil {
		return "", "", err
	}
	var problem struct {
		Code   tally.Code
		Detail string
	}
	if json.Unmarshal(text, &problem) == nil && problem.Code != "" {
		return problem.Code, problem.Detail, nil
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return "", first, nil
}

// printable replaces characters that could move the cursor of a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// printLine prints a frame as a line; nothing for a frame without a topic.
func printLine(out io.Writer, f frame, at time.Time) {
	now := at.UTC().Format(time.RFC3339)
	switch {
	case f.Error != nil:
		fmt.Fprintf(out, "%s %s error %s: %s\n", now, printable(f.Topic), printable(string(f.Error.Code)), printable(f.Error.Message))
	case f.Topic != "":
		fmt.Fprintf(out, "%s %s %s\n", now, printable(f.Topic), f.numbers().Text(func(n int64) string { return strconv.FormatInt(n, 10) }))
	}
}
