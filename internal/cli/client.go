package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/tally"
)

// groupService is the heading of the flags of the service that is called.
const groupService = "Service"

// defaultService is the URL of a service on this machine with default settings.
const defaultService = "http://127.0.0.1:8080"

// atFlag names the service that a command calls.
var atFlag = config.Setting{
	Name: "at", Group: groupService, Value: "URL", Default: defaultService, Alternative: "store",
	Help: "URL of the service, with its base path.",
}

// adminFlags are the flags of commands that call the admin API.
var adminFlags = []config.Setting{
	atFlag,
	{Name: "admin-token", Group: groupService, Value: "TEXT", Secret: true,
		Help: "The --admin-token of the service, or a token of some sites. Prefer the variable or the file: other users of this machine can read command lines."},
	{Name: "admin-token-file", Group: groupService, Value: "FILE", Alternative: "admin-token",
		Help: "File that holds the admin token."},
}

// adminClient calls the admin API of a running service, or of a store that the command
// opened. It is for one goroutine.
type adminClient struct {
	base    string // URL, without a slash at its end
	label   string // the service or store, for messages
	token   string
	http    *http.Client
	release func() error // closes the store; nil: there is none
	// onAnswer is called once, with the store's name, after the first answer; may be nil.
	onAnswer func(store string)
}

// serviceClient returns the client of the service that the flags name. Its errors are
// [usageError]s.
func (p *process) serviceClient() (*adminClient, error) {
	r := &config.Reader{Values: config.Resolve(adminFlags, p.flags, p.env, config.File{})}
	at, token := config.Read(r, "at", parseAdminURL), ""
	config.IntoToken(&token)(r, "admin-token")
	if !r.Values["admin-token"].IsGiven() && !r.Values["admin-token-file"].IsGiven() {
		r.Problems = append(r.Problems, config.Problem{Setting: "admin-token", Message: "is missing; give the token that the service was started with, best as --admin-token-file FILE or in the environment as " +
			config.VariableName("admin-token")})
	}
	if err := r.Problems.Err(); err != nil {
		return nil, usageError{err}
	}
	return &adminClient{
		base: at, label: at, token: token,
		http: &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// The token is sent to the named service only.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		onAnswer: func(store string) {
			if store != "" {
				store = ", whose store is " + printable(store)
			}
			fmt.Fprintf(p.stderr, "service: %s (%s)%s\n", at, r.Values["at"].Source, store)
		},
	}, nil
}

// parseAdminURL is [parseServiceURL] for requests that carry the token.
func parseAdminURL(text string) (string, error) {
	at, err := parseServiceURL(text)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(at); err == nil && u.User != nil {
		return "", fmt.Errorf("%q has a name or a password; it should have neither, because the token is used instead", u.Redacted())
	}
	return at, nil
}

// close releases connections and the store. Everything answered is durable already.
func (c *adminClient) close() {
	c.http.CloseIdleConnections()
	if c.release != nil {
		_ = c.release()
	}
}

// call sends in as JSON, unless it is nil, and decodes the answer into out, unless it is
// nil. It also returns the answer as it came. path begins with /admin/v1/ and may have a
// query. Errors: an *adminError if the service refuses.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) (json.RawMessage, error) {
	var body io.Reader
	contentType := ""
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body, contentType = bytes.NewReader(text), "application/json"
	}
	response, err := c.stream(ctx, method, path, body, contentType)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		return nil, c.unreadable(err)
	}
	return raw, nil
}

// unreadable returns the error of an answer that is not the expected JSON.
func (c *adminClient) unreadable(err error) error {
	return fmt.Errorf("%s answered with unexpected data: %w", c.label, err)
}

// stream is [adminClient.call] for bodies of any length and type. The caller closes the body of
// the response.
func (c *adminClient) stream(ctx context.Context, method, path string, body io.Reader, contentType string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Accept", "application/json, application/problem+json, */*;q=0.5")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, connectionError(c.label, err)
	}
	success := response.StatusCode >= 200 && response.StatusCode < 300
	if store := response.Header.Get(admin.StoreHeader); c.onAnswer != nil && (success || store != "") {
		c.onAnswer(store)
		c.onAnswer = nil
	}
	if success {
		return response, nil
	}
	defer response.Body.Close()
	return nil, c.refusal(response)
}

// connectionError returns the error of a request to at without an answer, with advice.
func connectionError(at string, err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err // without method and address
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no service answers at %s; --at should be its URL: %w", at, err)
	}
	return fmt.Errorf("send a request to %s: %w", at, err)
}

// adminError is an answer of the admin API that is not a success.
type adminError struct {
	status  int
	code    tally.Code // of a problem document; empty if something else answered
	message string     // for people
}

func (e *adminError) Error() string { return e.message }

// isTopicError reports whether err concerns one topic, so that a call for another one may succeed.
func isTopicError(err error) bool {
	var e *adminError
	if !errors.As(err, &e) {
		return false
	}
	switch e.code {
	case tally.CodeBadTopic, tally.CodeUnknownSite, tally.CodeUnknownMetric, tally.CodeReadOnlyMetric, tally.CodeBadAmount:
		return true
	}
	return false
}

// isMethodNotAllowed reports whether err says that the service lacks a call.
func isMethodNotAllowed(err error) bool {
	var e *adminError
	return errors.As(err, &e) && e.code == tally.CodeMethodNotAllowed
}

// refusal returns the error of a response that is not a success.
func (c *adminClient) refusal(response *http.Response) error {
	code, message, err := readProblem(response.Body)
	if err != nil {
		return connectionError(c.label, err)
	}
	e := &adminError{status: response.StatusCode, code: code}
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		e.message = fmt.Sprintf("%s redirects to %s; if that is your service, name it with --at", c.label, printable(response.Header.Get("Location")))
	case code == "":
		e.message = fmt.Sprintf("%s answered %s, which is not an answer of tallycast; --at should be the URL of the service, with its base path", c.label, response.Status)
	case code == tally.CodeNotAuthorized:
		e.message = fmt.Sprintf("%s does not accept this token; give its --admin-token, or a token of some sites that was not revoked", c.label)
	case code == tally.CodeOriginNotAllowed:
		e.message = fmt.Sprintf("%s has no admin API at this path; --at should be the URL of the service, with its base path", c.label)
	default:
		e.message = fmt.Sprintf("%s (%s)", printable(message), printable(string(code)))
	}
	return e
}

// topicPath returns the path of a topic.
func topicPath(topic string) string {
	site, rest, _ := strings.Cut(topic, "/")
	metric, key, _ := strings.Cut(rest, "/")
	return "/admin/v1/topics/" + site + "/" + metric + "/" + url.PathEscape(key)
}

// countText returns the count of a topic for people, with that of each option.
func countText(s admin.State) string {
	return tally.Numbers{Total: s.Count, Options: s.Options}.Text(thousands)
}

// topicsPerCall is how many topics one call carries: the most that the service accepts.
const topicsPerCall = tally.MaxTopics

// setSeeds sets seeds, or with preview computes what that would change, and returns a result for
// each. After an error it returns the results until then.
func (c *adminClient) setSeeds(ctx context.Context, seeds []admin.SeedEdit, preview bool, m *meter) (results []admin.SeedResult, err error) {
	m.total = int64(len(seeds))
	for batch := range slices.Chunk(seeds, topicsPerCall) {
		var answer struct{ Seeds []admin.SeedResult }
		if _, err := c.call(ctx, http.MethodPost, "/admin/v1/seeds", admin.SeedBody{Seeds: batch, Preview: preview}, &answer); err != nil {
			return results, err
		}
		if len(answer.Seeds) != len(batch) {
			return results, fmt.Errorf("%s answered %d of %d seeds", c.label, len(answer.Seeds), len(batch))
		}
		results = append(results, answer.Seeds...)
		m.at(int64(len(results)), counted(int64(len(results)), "topic"))
	}
	return results, nil
}
