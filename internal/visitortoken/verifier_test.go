package visitortoken

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// Each kind of key verifies the tokens of its algorithm.
func TestVerifier_Algorithms(t *testing.T) {
	s := signers()
	v := New([]Source{
		{Keys: []Key{must(SecretKey(secret))}},
		{Keys: must(ParseFile([]byte(publicPEM(&s.rsa.PublicKey) + publicPEM(&s.ec.PublicKey))))},
		{Keys: must(ParseFile([]byte(publicPEM(s.ed.Public()))))},
	}, options())
	for algorithm, key := range map[string]any{"HS256": []byte(secret), "RS256": s.rsa, "ES256": s.ec, "EdDSA": s.ed} {
		expect(t, v, sign(key, `{"alg":"`+algorithm+`"}`, valid), "blog", "@ann")
	}
}

// No client can make the id of a signed visitor.
func TestVerifier_Namespace(t *testing.T) {
	visitor, err := withSecret().Visitor(t.Context(), hs(strings.Replace(valid, "ann", "ann-visitor", 1)), "blog")
	if err != nil || !tally.IsSigned(visitor) || tally.ValidateVisitor(visitor) == nil {
		t.Error(visitor, err)
	}
}

// Tokens that differ from those that the site's backend signs are refused with a reason.
func TestVerifier_HostileTokens(t *testing.T) {
	s := signers()
	v := New([]Source{
		{Keys: []Key{must(SecretKey(secret))}},
		{Site: "rsa", Keys: must(ParseFile([]byte(publicPEM(&s.rsa.PublicKey))))},
	}, options())
	onlyRSA := New([]Source{{Keys: must(ParseFile([]byte(publicPEM(&s.rsa.PublicKey))))}}, options())
	good := hs(valid)
	parts := strings.Split(good, ".")
	smallRSA := must(rsa.GenerateKey(rand.Reader, 2048))
	claims := func(text string) string {
		return hs(strings.ReplaceAll(text, "EXP", fmt.Sprint(now.Unix()+60)))
	}
	for name, test := range map[string]struct {
		v     *Verifier
		token string
		want  string
	}{
		"empty":                  {v, "", "not a signed JWT"},
		"text":                   {v, "ann-visitor", "not a signed JWT"},
		"two parts":              {v, parts[0] + "." + parts[1], "not a signed JWT"},
		"four parts":             {v, good + ".x", "not a signed JWT"},
		"five parts (encrypted)": {v, good + ".x.y", "not a signed JWT"},
		"huge":                   {v, good + strings.Repeat("A", maxToken), "at most 8192 bytes"},
		"padding":                {v, good + "=", "not a signed JWT"},
		"spaces":                 {v, " " + good, "not a signed JWT"},
		"JSON serialization":     {v, `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "not a signed JWT"},

		"none":                   {v, sign(nil, `{"alg":"none"}`, valid), "made the signature"},
		"None":                   {v, sign(nil, `{"alg":"None"}`, valid), "is not one of"},
		"no alg":                 {v, sign([]byte(secret), `{"typ":"JWT"}`, valid), "is not one of"},
		"alg of a number":        {v, sign([]byte(secret), `{"alg":256}`, valid), "is not one of"},
		"alg of other case":      {v, sign([]byte(secret), `{"alg":"hs256"}`, valid), "is not one of"},
		"no signature":           {v, parts[0] + "." + parts[1] + ".", "made the signature"},
		"other secret":           {v, sign([]byte(secret+"x"), `{"alg":"HS256"}`, valid), "made the signature"},
		"stronger hash":          {v, sign([]byte(secret), `{"alg":"HS512"}`, valid), "made the signature"},
		"other claims":           {v, parts[0] + "." + encode([]byte(strings.Replace(valid, "ann", "bob", 1))) + "." + parts[2], "made the signature"},
		"public key as a secret": {onlyRSA, sign([]byte(publicPEM(&s.rsa.PublicKey)), `{"alg":"HS256"}`, valid), "algorithm"},
		"modulus as a secret":    {onlyRSA, sign(s.rsa.N.Bytes(), `{"alg":"HS256"}`, valid), "algorithm"},
		"PSS":                    {onlyRSA, sign(s.rsa, `{"alg":"PS256"}`, valid), "made the signature"},
		"RSA of another key":     {onlyRSA, sign(s.otherRSA, `{"alg":"RS256"}`, valid), "made the signature"},
		"key in the token":       {onlyRSA, sign(smallRSA, `{"alg":"RS256","jwk":{"kty":"RSA","n":"`+encode(smallRSA.N.Bytes())+`","e":"AQAB"}}`, valid), "made the signature"},
		"address in the token":   {onlyRSA, sign(smallRSA, `{"alg":"RS256","jku":"https://evil.example/jwks.json","x5u":"https://evil.example/"}`, valid), "made the signature"},
		"key of another site":    {v, sign(s.rsa, `{"alg":"RS256"}`, valid), "algorithm"},
		"zero ECDSA signature":   {New([]Source{{Keys: must(ParseFile([]byte(publicPEM(&s.ec.PublicKey))))}}, options()), encode([]byte(`{"alg":"ES256"}`)) + "." + parts[1] + "." + encode(make([]byte, 64)), "made the signature"},

		"crit":           {v, sign([]byte(secret), `{"alg":"HS256","crit":["exp"],"exp":1}`, valid), "crit"},
		"crit, null":     {v, sign([]byte(secret), `{"alg":"HS256","crit":null}`, valid), "crit"},
		"unencoded":      {v, sign([]byte(secret), `{"alg":"HS256","b64":false,"crit":["b64"]}`, valid), "crit"},
		"access token":   {v, sign([]byte(secret), `{"alg":"HS256","typ":"at+jwt"}`, valid), "typ"},
		"typ, null":      {v, sign([]byte(secret), `{"alg":"HS256","typ":null}`, valid), "typ"},
		"kid of a list":  {v, sign([]byte(secret), `{"alg":"HS256","kid":["a"]}`, valid), "kid"},
		"header of null": {v, sign([]byte(secret), `null`, valid), "is not one of"},
		"nested":         {v, sign([]byte(secret), `{"alg":"HS256","cty":"JWT"}`, good), "not a signed JWT"},

		"claims of null":    {v, hs("null"), "must have exp"},
		"claims of a list":  {v, hs("[]"), "JSON object"},
		"claims, cut off":   {v, hs(valid[:len(valid)-1]), "not a signed JWT"},
		"claims, and more":  {v, hs(valid + valid), "not a signed JWT"},
		"claims, not UTF-8": {v, hs("{\"sub\":\"\xff\",\"exp\":1}"), "UTF-8"},
		"sub twice":         {v, claims(`{"sub":"ann","sub":"bob","exp":EXP}`), "twice"},
		"exp twice":         {v, claims(`{"sub":"ann","exp":1,"exp":EXP}`), "twice"},
		"sub twice, escape": {v, claims(`{"sub":"ann","s\u0075b":"bob","exp":EXP}`), "twice"},
		"sub in capitals":   {v, claims(`{"SUB":"ann","exp":EXP}`), "must have sub"},
		"no sub":            {v, claims(`{"exp":EXP}`), "must have sub"},
		"sub empty":         {v, claims(`{"sub":"","exp":EXP}`), "1 to 255"},
		"sub of a number":   {v, claims(`{"sub":7,"exp":EXP}`), "1 to 255"},
		"sub of null":       {v, claims(`{"sub":null,"exp":EXP}`), "1 to 255"},
		"sub long":          {v, claims(`{"sub":"` + strings.Repeat("a", 256) + `","exp":EXP}`), "1 to 255"},
		"sub, half a rune":  {v, claims(`{"sub":"a\ud800","exp":EXP}`), "1 to 255"},
		"no exp":            {v, hs(`{"sub":"ann"}`), "must have exp"},
		"exp of a string":   {v, claims(`{"sub":"ann","exp":"EXP"}`), "seconds"},
		"exp of null":       {v, hs(`{"sub":"ann","exp":null}`), "seconds"},
		"exp huge":          {v, hs(`{"sub":"ann","exp":1e300}`), "seconds"},
		"exp negative":      {v, hs(`{"sub":"ann","exp":-1}`), "seconds"},
		"exp, milliseconds": {v, claims(`{"sub":"ann","exp":EXP000}`), "seconds"},
		"nbf of a string":   {v, claims(`{"sub":"ann","exp":EXP,"nbf":"0"}`), "seconds"},
		"aud of others":     {v, claims(`{"sub":"ann","exp":EXP,"aud":"shop"}`), "not for this site"},
		"aud empty":         {v, claims(`{"sub":"ann","exp":EXP,"aud":[]}`), "not for this site"},
		"aud of null":       {v, claims(`{"sub":"ann","exp":EXP,"aud":null}`), "string or a list"},
		"aud of numbers":    {v, claims(`{"sub":"ann","exp":EXP,"aud":[1]}`), "string or a list"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, test.v, test.token, "blog", "bad_visitor: ")
			expect(t, test.v, test.token, "blog", test.want)
		})
	}
	expect(t, v, sign(s.rsa, `{"alg":"RS256"}`, valid), "rsa", "@ann")
}

// Tokens of usual backends are accepted.
func TestVerifier_AcceptedTokens(t *testing.T) {
	v := withSecret()
	for name, more := range map[string]string{
		"aud of the site": `,"aud":"blog"`, "aud of all sites": `,"aud":"tallycast"`, "aud of a list": `,"aud":["shop","blog"]`,
		"other claims": `,"iss":"https://login.example","iat":1,"jti":"7","admin":{"sub":1,"sub":2}`, "fraction": `,"nbf":1.5`,
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, hs(strings.TrimSuffix(valid, "}")+more+"}"), "blog", "@ann") })
	}
	expect(t, v, sign([]byte(secret), `{"alg":"HS256","typ":"jwt","kid":"any"}`, valid), "default", "@ann")
	expect(t, v, hs(strings.Replace(valid, "ann", "Jürgen|google-oauth2|1 2", 1)), "blog", "@Jürgen|google-oauth2|1 2")
}

// The clocks of the service and the backend may differ by 60 s.
func TestVerifier_ClockSkew(t *testing.T) {
	v := withSecret()
	at := now.Unix()
	for _, test := range []struct {
		exp, nbf int64
		want     string
	}{
		{at - 59, 0, "@ann"}, {at - 60, 0, "expired"}, {at - 3600, 0, "expired"}, {0, 0, "expired"},
		{at + 900, at + 60, "@ann"}, {at + 900, at + 61, "not valid yet"},
	} {
		expect(t, v, hs(fmt.Sprintf(`{"sub":"ann","exp":%d,"nbf":%d}`, test.exp, test.nbf)), "blog", test.want)
	}
}

func TestVerifier_WithoutKeys(t *testing.T) {
	expect(t, New(nil, options()), hs(valid), "blog", "--visitor-key")
}

// Keys with which anybody could sign, or that are too weak, are refused with a reason.
func TestKeys_Refused(t *testing.T) {
	s := signers()
	small := must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: must(rsa.GenerateKey(rand.Reader, 1024)).N, E: 65537}))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	spki := must(x509.MarshalPKIXPublicKey(&s.rsa.PublicKey))
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(s.ec))})
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	for name, test := range map[string]struct{ content, want string }{
		"short secret":     {"0123456789abcdef", "32 or more"},
		"empty":            {"", "32 or more"},
		"space":            {" " + secret, "space"},
		"1024 bits":        {block("PUBLIC KEY", small), "1024 bits"},
		"P-384":            {publicPEM(&p384.PublicKey), "P-384"},
		"private key":      {string(private), "private key"},
		"certificate":      {block("CERTIFICATE", []byte("x")), "openssl x509"},
		"broken":           {"-----BEGIN PUBLIC KEY-----\nAAAA", "broken PEM"},
		"second one cut":   {publicPEM(&s.ec.PublicKey) + "-----BEGIN PUBLIC KEY-----\nAAAA", "broken PEM"},
		"no key":           {block("PUBLIC KEY", []byte("x")), "cannot be read"},
		"DER":              {string(spki), "is a public key"},
		"PEM without ends": {strings.Split(publicPEM(&s.rsa.PublicKey), "-----")[2], "is a public key"},
		"key set":          {keySetOf(jwk(&s.rsa.PublicKey, nil)), "is a public key"},
		"ssh":              {"ssh-rsa " + encode(spki), "is a public key"},
	} {
		t.Run(name, func(t *testing.T) {
			if keys, err := ParseFile([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, %v, want %q", keys, err, test.want)
			}
		})
	}
	if key, err := SecretKey(publicPEM(&s.ec.PublicKey)); err == nil {
		t.Error(key)
	}
	for _, content := range []string{secret + "\r\n", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&s.rsa.PublicKey)), "{" + secret + "}"} {
		if keys, err := ParseFile([]byte(content)); err != nil || len(keys) != 1 {
			t.Error(keys, err)
		}
	}
}

// A forged token never names a visitor, and no text makes the verifier panic.
func FuzzVerifier(f *testing.F) {
	v := withSecret()
	for _, token := range []string{"", "..", hs(valid), hs("null"), sign(nil, `{"alg":"none"}`, valid), sign([]byte("x"), `{"alg":"HS256","kid":"a"}`, valid),
		hs(`{"sub":"ann","exp":1e300}`), sign(ed25519.NewKeyFromSeed(make([]byte, 32)), `{"alg":"EdDSA","crit":[]}`, valid)} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		visitor, err := v.Visitor(t.Context(), token, "blog")
		if err == nil && token != hs(valid) && !strings.HasPrefix(hs(valid), token) {
			t.Fatalf("%q names %q", token, visitor)
		}
		if err != nil && tally.AsError(err).Code != tally.CodeBadVisitor {
			t.Fatal(err)
		}
	})
}

// Claims are parsed strictly, so that each accepted token names one visitor.
func FuzzClaims(f *testing.F) {
	v := withSecret()
	for _, claims := range []string{valid, "null", "{}", `{"sub":"ann","exp":1790000001,"aud":["blog"]}`, `{"sub":"a","sub":"b"}`, `{"sub":{"sub":1}}`} {
		f.Add(claims)
	}
	f.Fuzz(func(t *testing.T, claims string) {
		visitor, err := v.Visitor(t.Context(), hs(claims), "blog")
		if err == nil && (len(visitor) < 2 || len(visitor) > 1+maxSubject || !strings.Contains(claims, "exp")) {
			t.Fatalf("%q names %q", claims, visitor)
		}
	})
}

func BenchmarkVisitor(b *testing.B) {
	s := signers()
	v := New([]Source{{Keys: append(must(ParseFile([]byte(publicPEM(&s.rsa.PublicKey)+publicPEM(&s.ec.PublicKey)+publicPEM(s.ed.Public())))), must(SecretKey(secret)))}}, options())
	for algorithm, key := range map[string]any{"HS256": []byte(secret), "RS256": s.rsa, "ES256": s.ec, "EdDSA": s.ed} {
		token := sign(key, `{"alg":"`+algorithm+`","typ":"JWT"}`, valid)
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Visitor(b.Context(), token, "blog"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
