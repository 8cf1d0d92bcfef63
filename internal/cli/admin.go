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
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/config"
)

// groupService is the heading of the flags that say which service is asked.
const groupService = "The service that is asked"

// defaultService is where a service on this machine listens if it was told nothing else.
const defaultService = "http://127.0.0.1:8080"

// adminFlags are those of every subcommand that does what an owner may do, through
// a running service.
var adminFlags = []config.Setting{
	{Name: "at", Group: groupService, Value: "URL", Default: defaultService,
		Help: "Where it is, with its base path."},
	{Name: "admin-token", Group: groupService, Value: "TEXT", Secret: true,
		Help: "Its --admin-token. In the environment or a file it is not seen by others on this machine."},
	{Name: "admin-token-file", Group: groupService, Value: "FILE", Alternative: "admin-token",
		Help: "File that holds it."},
}

// adminClient calls what stands below /admin/ of a running service. It is safe for
// concurrent use.
type adminClient struct {
	at      string // without a slash at its end
	token   string
	http    *http.Client
	release func() error // what else ends with it; nil: nothing
	// printBackend tells people, with the first answer, whose store was worked on; nil:
	// they know. answered guards it.
	printBackend func(store string)
	answered     sync.Once
}

// adminClient returns the client that the flags describe. Its errors are each a
// [usageError].
func (p *process) adminClient() (*adminClient, error) {
	r := p.reader(adminFlags)
	at, token := config.Read(r, "at", parseAdminURL), r.ReadToken("admin-token")
	if !r.Values["admin-token"].IsGiven() && !r.Values["admin-token-file"].IsGiven() {
		r.Problems = append(r.Problems, config.Problem{Setting: "admin-token", Message: "is missing; it should be what the service was started with. " +
			config.VariableName("admin-token") + " in the environment, or --admin-token-file, do as well"})
	}
	if len(r.Problems) > 0 {
		return nil, usageError{r.Problems.Err()}
	}
	client := newAdminClient(at, token)
	client.printBackend = func(store string) {
		if store != "" {
			store = ", whose store is " + printable(store)
		}
		fmt.Fprintf(p.stderr, "service: %s (%s)%s\n", at, r.Values["at"].Source, store)
	}
	return client, nil
}

func newAdminClient(at, token string) *adminClient {
	return &adminClient{at: at, token: token, http: &http.Client{
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// The token goes where it was meant to go, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// parseAdminURL is [parseServiceURL] for calls that come with the token.
func parseAdminURL(text string) (string, error) {
	at, err := parseServiceURL(text)
	if err != nil {
		return "", err
	}
	if u, err := url.Parse(at); err == nil && u.User != nil {
		return "", fmt.Errorf("%q has a name or a password, which the token takes the place of; it should have neither", u.Redacted())
	}
	return at, nil
}

// close lets go what is held. What was answered is durable already.
func (c *adminClient) close() {
	c.http.CloseIdleConnections()
	if c.release != nil {
		_ = c.release()
	}
}

// call sends in, where not nil, as JSON, and reads the answer into out, where not
// nil. path begins with /admin/v1/ and may have a query. What the service refuses is
// an *adminError.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		body, contentType = bytes.NewReader(text), "application/json"
	}
	response, err := c.stream(ctx, method, path, body, contentType)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out != nil {
		if err := json.NewDecoder(response.Body).Decode(out); err != nil {
			return fmt.Errorf("the answer of %s cannot be read: %w", c.at, err)
		}
	}
	// Read to its end, so that the connection serves the next call.
	_, _ = io.Copy(io.Discard, response.Body)
	return nil
}

// stream is [adminClient.call] for bodies of any length and form. The caller closes
// the body of the response, whose status is one of success.
func (c *adminClient) stream(ctx context.Context, method, path string, body io.Reader, contentType string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.at+path, body)
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
		return nil, explainNoAnswer(c.at, err)
	}
	success := response.StatusCode >= 200 && response.StatusCode < 300
	if store := response.Header.Get(admin.StoreHeader); c.printBackend != nil && (success || store != "") {
		c.answered.Do(func() { c.printBackend(store) })
	}
	if success {
		return response, nil
	}
	defer response.Body.Close()
	return nil, c.refusal(response)
}

// explainNoAnswer says what to do if no service answers at the address at.
func explainNoAnswer(at string, err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err // the method and the address say nothing to people
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no service answers at %s; --at says where it is: %w", at, err)
	}
	return fmt.Errorf("ask the service at %s: %w", at, err)
}

// adminError is a refusal of the service.
type adminError struct {
	status     int
	code       string // of a problem document; empty where something else answered
	retryAfter time.Duration
	message    string // for people
}

func (e *adminError) Error() string { return e.message }

// nothingThere is what the service says of an address without anything.
const nothingThere = "there is nothing at this address"

// refusal reads a response that is none of success.
func (c *adminClient) refusal(response *http.Response) error {
	e := &adminError{status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(seconds) * time.Second
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxReasonBytes))
	if err != nil {
		return explainNoAnswer(c.at, err)
	}
	var problem struct{ Code, Detail string }
	_ = json.Unmarshal(text, &problem) // what is no problem document has no code
	e.code = problem.Code
	detail := printable(problem.Detail)
	switch {
	case response.StatusCode >= 300 && response.StatusCode < 400:
		e.message = fmt.Sprintf("%s leads on to %s; give that to --at, if it is yours", c.at, printable(response.Header.Get("Location")))
	case e.code == "":
		e.message = fmt.Sprintf("%s answered %s, and not as tallycast does; --at says where the service is, with its base path", c.at, response.Status)
	case e.code == "not_authorized":
		e.message = fmt.Sprintf("%s does not take this token; it should be that of its --admin-token", c.at)
	case e.code == "origin_not_allowed":
		e.message = fmt.Sprintf("%s has no /admin/ there; --at says where the service is, with its base path", c.at)
	case e.code == "not_found" && problem.Detail == nothingThere:
		e.message = fmt.Sprintf("%s does not let its numbers be mended: start it with --admin-token; or it has a base path, which --at needs, too", c.at)
	default:
		e.message = fmt.Sprintf("%s (%s)", detail, printable(e.code))
	}
	return e
}
