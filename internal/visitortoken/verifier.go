// Package visitortoken verifies the tokens in which a site's own backend signs the identity of its
// readers. Package config parses the keys, server runs a [Verifier], and api passes it the tokens of
// calls.
//
// It guarantees: a token is accepted only with a signature of a key that is configured for
// the site, by the one algorithm of that key; keys in the token itself are never used; the
// work for a token, and the wait for a key set, are bounded.
package visitortoken

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/errgroup"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// maxToken bounds a token, in bytes: the access tokens of large companies have 4 KB.
	maxToken = 8 << 10
	// clockSkew is the tolerated difference to the clock of the backend that signs.
	clockSkew = 60 * time.Second
	// maxWait bounds the wait for a key set: a write is answered within 3 s, of which the store
	// takes up to 2.8 s.
	maxWait = 200 * time.Millisecond
	// commonAudience is the audience of tokens for every site.
	commonAudience = "tallycast"
)

// Source has some keys, or the address of a key set.
type Source struct {
	Site      string // the only site that accepts the keys; empty: all sites
	Keys      []Key
	KeySetURL string // of a key set (RFC 7517) with further keys; empty: none
}

// String returns the algorithms of the keys, or the address of the key set.
func (s Source) String() string {
	if s.KeySetURL != "" {
		return "the keys at " + s.KeySetURL
	}
	var algorithms []string
	for _, key := range s.Keys {
		algorithms = append(algorithms, key.algorithm)
	}
	slices.Sort(algorithms)
	return strings.Join(slices.Compact(algorithms), " and ")
}

// Options are the options of a [Verifier]. All may be left out.
type Options struct {
	Now   func() time.Time // the clock that exp and nbf are compared with; time.Now
	Agent string           // User-Agent
	Log   *slog.Logger     // slog.Default()

	// Refresh is the interval of fetches of a key set. A key that was removed from the set is
	// accepted for that long. 5 minutes by default.
	Refresh time.Duration
	// Retry is the interval after a failed fetch, and the shortest one if tokens name unknown
	// keys: forged tokens must not cause many fetches. 10 s by default.
	Retry time.Duration
}

const (
	defaultRefresh = 5 * time.Minute
	defaultRetry   = 10 * time.Second
)

// Verifier verifies visitor tokens. It is safe for concurrent use.
type Verifier struct {
	// Fixed after construction.
	parser *jwt.Parser
	wait   time.Duration       // maxWait, except in tests
	bySite map[string]*keyring // "" is that of all other sites
	sets   []*keySet

	accepted, refused, unverified atomic.Int64 // tokens
}

// keyring has the keys that a site accepts.
type keyring struct {
	keys []Key
	sets []*keySet
}

// New returns a verifier with the keys of sources. Without any it refuses all tokens.
func New(sources []Source, o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	o.Refresh, o.Retry = cmp.Or(o.Refresh, defaultRefresh), cmp.Or(o.Retry, defaultRetry)
	v := &Verifier{
		wait: maxWait,
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(),
			jwt.WithLeeway(clockSkew), jwt.WithTimeFunc(o.Now), jwt.WithStrictDecoding()),
		bySite: map[string]*keyring{"": {}},
	}
	for _, source := range sources {
		v.bySite[source.Site] = &keyring{}
	}
	byURL := map[string]*keySet{}
	for _, source := range sources {
		set := byURL[source.KeySetURL]
		if source.KeySetURL != "" && set == nil {
			set = newKeySet(source.KeySetURL, o)
			byURL[source.KeySetURL] = set
			v.sets = append(v.sets, set)
		}
		for site, ring := range v.bySite {
			if source.Site != "" && source.Site != site {
				continue
			}
			ring.keys = append(ring.keys, source.Keys...)
			if set != nil {
				ring.sets = append(ring.sets, set)
			}
		}
	}
	return v
}

// Run keeps the key sets up to date until ctx ends.
func (v *Verifier) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, set := range v.sets {
		group.Go(func() error { return set.run(ctx) }) // ends with ctx
	}
	return group.Wait()
}

// Visitor verifies a token for site and returns the id of the visitor that it names. If no
// known key fits, it waits up to 200 ms for a newer key set. Errors: [tally.CodeBadVisitor];
// [tally.CodeStoreUnavailable] if no known key fits and a newer key set may have one: the set is
// being read, or could not be read.
func (v *Verifier) Visitor(ctx context.Context, token, site string) (string, error) {
	subject, err := v.verify(ctx, token, site)
	switch {
	case err == nil:
		v.accepted.Add(1)
		return tally.SignedVisitor(subject), nil
	case tally.AsError(err).Code == tally.CodeBadVisitor:
		v.refused.Add(1)
	default:
		v.unverified.Add(1)
	}
	return "", err
}

func (v *Verifier) verify(ctx context.Context, token, site string) (subject string, err error) {
	ring := v.bySite[site]
	if ring == nil {
		ring = v.bySite[""]
	}
	switch {
	case len(ring.keys) == 0 && len(ring.sets) == 0:
		return "", refuse("the site %q has no key for visitor tokens: --visitor-key, --visitor-key-file or --visitor-jwks gives it one", site)
	case len(token) > maxToken:
		return "", refuse("a visitor token has at most %d bytes; this one has %d", maxToken, len(token))
	}
	subject, missing, err := v.parse(token, site, ring)
	if len(missing) == 0 {
		return subject, err
	}
	ctx, cancel := context.WithTimeout(ctx, v.wait)
	defer cancel()
	var retry time.Duration
	for _, set := range missing {
		set.awaitRefresh(ctx)
		retry = max(retry, set.retryAfter())
	}
	// In this order parse uses the set that retryAfter found current, or a newer one.
	if subject, missing, err = v.parse(token, site, ring); len(missing) > 0 && retry > 0 {
		return "", &tally.Error{Code: tally.CodeStoreUnavailable, RetryAfter: retry,
			Message: "no known key fits the visitor token, and newer keys (--visitor-jwks) could not be read yet; the request may be repeated"}
	}
	return subject, err
}

// parse verifies a token with the keys that are known now. If none of them made the signature, it
// returns the key sets without the key that the token names.
func (v *Verifier) parse(token, site string, ring *keyring) (subject string, missing []*keySet, err error) {
	c := claims{site: site}
	_, err = v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (_ any, err error) {
		var found jwt.VerificationKeySet
		found, missing, err = ring.find(t)
		return found, err
	})
	switch {
	case err == nil:
		return c.Subject, nil, nil
	case errors.Is(err, errNoKey) || errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return "", missing, explain(err)
	}
	return "", nil, explain(err)
}

// find returns the keys that may have signed a token, and the key sets without such a key.
func (r *keyring) find(t *jwt.Token) (found jwt.VerificationKeySet, missing []*keySet, err error) {
	id, err := checkHeader(t.Header)
	if err != nil {
		return found, nil, err
	}
	algorithm := t.Method.Alg()
	for _, key := range r.keys {
		if key.algorithm == algorithm {
			found.Keys = append(found.Keys, key.material)
		}
	}
	for _, set := range r.sets {
		keys := set.find(algorithm, id)
		switch {
		case len(keys) == 0:
			missing = append(missing, set)
		case id == "" && len(keys) > maxUnnamed:
			return found, nil, refuse("the visitor token must name its key (kid): the key set has %d for %s", len(keys), algorithm)
		}
		for _, key := range keys {
			found.Keys = append(found.Keys, key.material)
		}
	}
	if len(found.Keys) == 0 {
		return found, missing, errNoKey
	}
	return found, missing, nil
}

// maxUnnamed bounds the keys of a key set that are tried for a token without kid: a forged
// one must not cost many verifications.
const maxUnnamed = 4

var errNoKey = refuse("no visitor key of the site has the algorithm and the kid of the visitor token")

// checkHeader checks the header of a token and returns its kid; empty if it has none.
func checkHeader(header map[string]any) (id string, err error) {
	if _, ok := header["crit"]; ok {
		return "", refuse("the visitor token has critical header extensions (crit); none are supported")
	}
	if kind, ok := header["typ"]; ok {
		if text, _ := kind.(string); !strings.EqualFold(text, "JWT") {
			return "", refuse("the type of the visitor token (typ) must be JWT: tokens of another type are for another purpose")
		}
	}
	if value, ok := header["kid"]; ok {
		if id, ok = value.(string); !ok {
			return "", refuse("the kid of the visitor token must be a string")
		}
	}
	return id, nil
}

// explain returns the error for the client.
func explain(err error) error {
	var e *tally.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("no visitor key of the site made the signature of the visitor token")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the visitor token never expires: it must have exp")
	case errors.Is(err, jwt.ErrTokenExpired):
		return refuse("the visitor token is expired: request a new one from the site's backend")
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return refuse("the visitor token is not valid yet (nbf): compare the clocks of this service and of the site's backend")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("the algorithm of the visitor token is not one of %s", strings.Join(algorithms, ", "))
	}
	return refuse("the visitor token is not a signed JWT in its compact form (RFC 7519)")
}

func refuse(format string, args ...any) *tally.Error {
	return tally.Errorf(tally.CodeBadVisitor, format, args...)
}

// Metrics implements [tally.Instrumented].
func (v *Verifier) Metrics() []tally.Sample {
	var samples []tally.Sample
	for result, counter := range map[string]*atomic.Int64{"accepted": &v.accepted, "refused": &v.refused, "unverified": &v.unverified} {
		samples = append(samples, tally.Sample{Name: "visitor_tokens_total", Counter: true, Label: "result", LabelValue: result,
			Help: "Tokens of signed visitors. Unverified ones name a key that a newer key set may have, which could not be read.", Value: float64(counter.Load())})
	}
	var failures int64
	for _, set := range v.sets {
		failures += set.failures.Load()
	}
	return append(samples, tally.Sample{Name: "visitor_key_set_failures_total", Counter: true,
		Help: "Failed requests for key sets (--visitor-jwks).", Value: float64(failures)})
}
