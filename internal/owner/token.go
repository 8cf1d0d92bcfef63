package owner

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

// Tokens are settings. Each instance keeps them in memory, so that guessing tokens takes no commands
// of the store. If a token is in memory, the instance also reads it from the store, so that a revoked
// token ends at once on every instance, even if a broadcast is lost.

const (
	// tokenSetting begins the names of settings that hold tokens, followed by their name.
	tokenSetting = "token "
	// tokenPrefix begins each token, so that people and scanners recognise it.
	tokenPrefix = "tally_"
	tokenHash   = sha256.Size
	// maxTokens bounds the settings, which every instance reads regularly.
	maxTokens = 1000
	// maxTokenSites bounds the value of one token.
	maxTokenSites = 100
	// tokensCurrent is how long the absence of a token in memory proves that the token does not
	// exist. It is more than [settingsInterval] and one failed read.
	tokensCurrent = 3 * settingsInterval
)

// validTokenName matches names that a log, a URL and a command line show as they are.
var validTokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

// followedTokens is the part of the settings that describes tokens.
type followedTokens struct {
	mu     sync.Mutex
	byName map[string]*followedToken // guarded by mu
	read   time.Time                 // when the settings were read; guarded by mu
}

// followedToken is a token with one value. It is immutable.
type followedToken struct {
	storedToken
	value   string
	revoked context.Context // ends when the token is no longer in the settings
	revoke  context.CancelFunc
}

func (f *followedToken) access(name string) Access {
	return Access{Role: f.Role, Token: name, Sites: f.Sites, ID: f.id(), Revoked: f.revoked}
}

// follow replaces the tokens by those of the settings. Its error names each token that cannot
// be parsed; such a token gives no access.
func (t *followedTokens) follow(settings map[string]string, now time.Time) (invalid error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read = now
	for name, known := range t.byName {
		if settings[tokenSetting+name] != known.value {
			known.revoke()
			delete(t.byName, name)
		}
	}
	for _, setting := range slices.Sorted(maps.Keys(settings)) {
		name, ok := strings.CutPrefix(setting, tokenSetting)
		if !ok || t.byName[name] != nil {
			continue
		}
		parsed, err := parseToken(settings[setting])
		if err != nil {
			invalid = errors.Join(invalid, fmt.Errorf("setting %q: %w", setting, err))
			continue
		}
		token := &followedToken{storedToken: parsed, value: settings[setting]}
		token.revoked, token.revoke = context.WithCancel(context.Background())
		t.byName[name] = token
	}
	return invalid
}

// find returns the token with that hash; nil if there is none. It compares all tokens, so that its
// duration reveals nothing. isCurrent reports whether the tokens in memory are recent enough to prove
// that a token does not exist.
func (t *followedTokens) find(hash [tokenHash]byte, now time.Time) (name string, found *followedToken, isCurrent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for each, token := range t.byName {
		if subtle.ConstantTimeCompare(token.Hash, hash[:]) == 1 {
			name, found = each, token
		}
	}
	return name, found, now.Sub(t.read) < tokensCurrent
}

// get returns the token with that name and id; nil if there is none.
func (t *followedTokens) get(name string, id TokenID) *followedToken {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token := t.byName[name]; token != nil && token.id() == id {
		return token
	}
	return nil
}

// Authenticate returns the access of a token, or of a session that began with one.
// Errors: [tally.CodeNotAuthorized]; [tally.CodeStoreUnavailable] if the store cannot
// confirm that the token exists, or does not exist.
func (s *Service) Authenticate(ctx context.Context, token string) (Access, error) {
	if !strings.HasPrefix(token, tokenPrefix) {
		return Access{}, errNotAToken
	}
	hash := sha256.Sum256([]byte(token))
	name, found, isCurrent := s.settings.tokens.find(hash, s.now())
	if found == nil && !isCurrent {
		if err := s.readTokens(ctx); err != nil {
			return Access{}, err
		}
		name, found, _ = s.settings.tokens.find(hash, s.now())
	}
	return s.confirm(ctx, name, found)
}

// Resume is [Service.Authenticate] for a session that began with the token of that name and
// id. The caller knows that the session is genuine.
func (s *Service) Resume(ctx context.Context, name string, id TokenID) (Access, error) {
	found := s.settings.tokens.get(name, id)
	if found == nil { // created a moment ago, through another instance
		if err := s.readTokens(ctx); err != nil {
			return Access{}, err
		}
		found = s.settings.tokens.get(name, id)
	}
	return s.confirm(ctx, name, found)
}

// readTokens reads the settings.
func (s *Service) readTokens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := s.loadSettings(ctx)
	return err
}

// confirm returns the access of a token from memory, if the store still has the token. found is nil
// if the token is not in memory.
func (s *Service) confirm(ctx context.Context, name string, found *followedToken) (Access, error) {
	if found == nil {
		return Access{}, errNotAToken
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	setting := tokenSetting + name
	settings, err := s.store.Settings(ctx, setting)
	switch {
	case err != nil:
		return Access{}, err
	case settings[setting] != found.value:
		notify(s.settingsChanged)
		return Access{}, errNotAToken
	}
	return found.access(name), nil
}

// CreateToken creates a token and returns it. It is not stored and cannot be shown again.
// Errors: [tally.CodeBadBody] for an invalid or existing name, no sites, or too many tokens;
// [tally.CodeUnknownSite], [tally.CodeStoreUnavailable].
func (s *Service) CreateToken(ctx context.Context, actor string, t Token) (created Token, token string, err error) {
	switch {
	case !validTokenName.MatchString(t.Name):
		return Token{}, "", tally.Errorf(tally.CodeBadBody, "a token's name has 1 to 64 letters a-z, digits and . _ - @ +, and begins with a letter or digit; %.80q does not", t.Name)
	case t.Role != Viewer && t.Role != Editor:
		return Token{}, "", tally.Errorf(tally.CodeBadBody, "a token needs a role: viewer or editor")
	case len(t.Sites) == 0 || len(t.Sites) > maxTokenSites:
		return Token{}, "", tally.Errorf(tally.CodeBadBody, "a token is for 1 to %d sites; this one names %d", maxTokenSites, len(t.Sites))
	}
	for _, site := range t.Sites {
		if err := s.checkSite(site); err != nil {
			return Token{}, "", err
		}
	}
	t.Sites, t.Created = slices.Compact(slices.Sorted(slices.Values(t.Sites))), s.now().UTC().Format(time.RFC3339)
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return Token{}, "", err
	}
	if n := len(tokensOf(settings)); n >= maxTokens {
		return Token{}, "", tally.Errorf(tally.CodeBadBody, "there are %d tokens, the maximum; revoke those that nobody uses", n)
	}
	token = tokenPrefix + rand.Text()
	hash := sha256.Sum256([]byte(token))
	value, err := json.Marshal(storedToken{Role: t.Role, Sites: t.Sites, Created: t.Created, Hash: hash[:]})
	if err != nil {
		return Token{}, "", err
	}
	setting := tokenSetting + t.Name
	switch swapped, err := s.store.SwapSettings(ctx, map[string]string{setting: ""}, map[string]string{setting: string(value)}); {
	case err != nil:
		return Token{}, "", err
	case !swapped:
		return Token{}, "", tally.Errorf(tally.CodeBadBody, "a token %s exists already; revoke it first, or choose another name", t.Name)
	}
	// The token exists. Instances that do not receive the broadcast read the settings regularly.
	_ = s.Reload(ctx)
	detail := t.Role.String() + " of " + strings.Join(t.Sites, ", ")
	// A pending audit entry is no error: the caller must get the token, which cannot be shown again.
	_ = s.Audit(ctx, tally.AuditEntry{Actor: actor, Action: "create token", Target: t.Name, Detail: detail})
	return t, token, nil
}

// RevokeToken revokes a token. Its sessions and its running exports and previews end; a
// change that has begun is carried out.
// Errors: [tally.CodeNotFound], [tally.CodeStoreUnavailable].
func (s *Service) RevokeToken(ctx context.Context, actor, name string) error {
	setting := tokenSetting + name
	settings, err := s.store.Settings(ctx, setting)
	if err != nil {
		return err
	}
	if settings[setting] == "" {
		return tally.Errorf(tally.CodeNotFound, "there is no token %.80q", name)
	}
	if _, err := s.store.SwapSettings(ctx, nil, map[string]string{setting: ""}); err != nil {
		return err
	}
	_ = s.Reload(ctx) // an error does no harm: each use of a token is confirmed by the store
	return s.Audit(ctx, tally.AuditEntry{Actor: actor, Action: "revoke token", Target: name})
}

// Tokens returns all tokens, by name. Errors: [tally.CodeStoreUnavailable].
func (s *Service) Tokens(ctx context.Context) ([]Token, error) {
	settings, err := s.store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	tokens := tokensOf(settings)
	slices.SortFunc(tokens, func(a, b Token) int { return cmp.Compare(a.Name, b.Name) })
	return tokens, nil
}

// tokensOf returns the tokens in settings. A token that cannot be parsed has its name only, so
// that the owner can revoke it.
func tokensOf(settings map[string]string) []Token {
	tokens := []Token{}
	for setting, value := range settings {
		if name, ok := strings.CutPrefix(setting, tokenSetting); ok {
			t, _ := parseToken(value) // loadSettings logs it
			tokens = append(tokens, Token{Name: name, Role: t.Role, Sites: append([]string{}, t.Sites...), Created: t.Created})
		}
	}
	return tokens
}
