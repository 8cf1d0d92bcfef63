package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A visitor without an id is derived from address and user agent.
func TestVisitor_Derived(t *testing.T) {
	t.Parallel()
	store := "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
	s := serve(t, "--store", store)
	for _, metric := range []string{"likes", "visitors", "views"} {
		path := "/v1/default/" + metric + "/derived"
		for i, c := range []struct {
			from  *client
			agent string
			count int64
		}{
			{s.client, "one", 1}, {s.client, "one", 1}, {s.client, "two", 2}, {s.from("127.0.0.2"), "one", 3}, {s.from("127.0.0.2"), "one", 3},
		} {
			if got := c.from.do("POST", path, "", "User-Agent: "+c.agent).count(); got.Count != c.count {
				t.Errorf("%s, step %d: %+v, want %d", metric, i, got, c.count)
			}
		}
	}
	if c := s.do("DELETE", "/v1/default/likes/derived", "", "User-Agent: one").count(); c.Count != 2 || !*c.Changed {
		t.Errorf("taken back: %+v", c)
	}
	// The secret is in the store, so that a restart knows its visitors.
	s.Kill()
	again := serve(t, "--store", store)
	if c := again.do("POST", "/v1/default/likes/derived", "", "User-Agent: two").count(); c.Count != 2 || *c.Changed {
		t.Errorf("after a restart: %+v", c)
	}
	// A read needs no visitor.
	if c := again.read("default/likes/derived"); c.Mine != nil {
		t.Errorf("%+v", c)
	}
}

// Another secret than the stored one is refused, because every visitor would count again.
func TestSecret_OtherThanStored(t *testing.T) {
	t.Parallel()
	const a, b = "0123456789abcdef-a", "0123456789abcdef-b"
	store := "sqlite:" + filepath.Join(t.TempDir(), "tally.db")
	first := serve(t, "--store", store, "--secret", a)
	first.like("default/likes/x", "visitor-1", "1")
	first.Kill()
	code, _, errors := run(t, nil, "--store", store, "--secret", b, "--listen", "127.0.0.1:0", "--internal-listen", "")
	if code == 0 || !strings.Contains(errors, "secret") || strings.Contains(errors, a) || strings.Contains(errors, b) {
		t.Errorf("exit %d: %s", code, errors)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, call := range []struct{ env, args []string }{{[]string{"TALLYCAST_SECRET=" + a}, nil}, {nil, []string{"--secret-file", file}}, {nil, nil}} {
		again := serveIn(t, call.env, append(call.args, "--store", store)...)
		if c := again.like("default/likes/x", "visitor-1", "1"); c.Count != 1 || *c.Changed {
			t.Errorf("%v: %+v", call, c)
		}
		again.Kill()
	}
}

// Forwarding headers of an untrusted address are refused without a visitor id, with one
// warning.
func TestVisitor_UntrustedProxy(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, header := range []string{"X-Forwarded-For: 203.0.113.1", "Forwarded: for=203.0.113.1", "X-Real-Ip: 203.0.113.1"} {
		s.do("POST", "/v1/default/likes/x", "", header).wantProblem(400, "bad_visitor").wantBody("--trusted-proxy")
	}
	if c := s.do("POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`, "X-Forwarded-For: 203.0.113.1").count(); c.Count != 1 {
		t.Errorf("named: %+v", c)
	}
	warned := 0
	for line := range strings.Lines(s.Log.String()) {
		if strings.Contains(line, "--trusted-proxy") && strings.Contains(line, `"WARN"`) {
			warned++
			if !strings.Contains(line, "127.0.0.1") {
				t.Errorf("does not name the address: %s", line)
			}
		}
	}
	if warned != 1 {
		t.Errorf("warned %d times", warned)
	}
}

// The client is the right-most address that is not a trusted proxy. The client can make
// up those left of it.
func TestTrustedProxy_RightmostAddress(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"127.0.0.0/8", "private"} {
		s := serve(t, "--trusted-proxy", flag, "--trusted-proxy", "198.51.100.0/24")
		for i, c := range []struct {
			header string
			count  int64
		}{
			{"X-Forwarded-For: 203.0.113.1", 1}, {"X-Forwarded-For: 203.0.113.1", 1}, {"X-Forwarded-For: 203.0.113.2", 2},
			{"X-Forwarded-For: 192.0.2.9, 203.0.113.1", 2}, {"X-Forwarded-For: 203.0.113.1, 198.51.100.7", 2}, {"X-Forwarded-For: 203.0.113.1:4711", 2},
			{"X-Forwarded-For: 2001:db8::1", 3}, {"X-Forwarded-For: 2001:db8::2", 3}, {"X-Forwarded-For: [2001:db8:0:1::1]:4711", 4},
		} {
			if got := s.do("POST", "/v1/default/likes/x", "", c.header).count(); got.Count != c.count {
				t.Errorf("%s, step %d, %s: %+v, want %d", flag, i, c.header, got, c.count)
			}
		}
		if strings.Contains(s.Log.String(), "forwards requests") || strings.Contains(s.Log.String(), `"flag":"--trusted-proxy`) {
			t.Errorf("warned: %s", s.Log)
		}
	}
}

// The server token may name any visitor and is exempt from origins and limits.
func TestServerToken_Privileges(t *testing.T) {
	t.Parallel()
	const token = "token-of-32-printable-characters"
	s := serveIn(t, nil, "--server-token", token, "--rate-limit", "1/h", "--read-limit", "1/h", "--new-topic-limit", "1/h")
	bearer := "Authorization: Bearer " + token
	s.do("POST", "/v1/default/likes/x", "", bearer).wantProblem(400, "bad_visitor")
	for _, visitor := range []string{"visitor-1", "visitor-2", "visitor-3", "visitor-4", "visitor-5"} {
		s.do("POST", "/v1/default/likes/"+visitor, `{"visitor":"`+visitor+`"}`, bearer, "Origin: "+stranger).wantStatus(200)
		s.do("POST", "/v1/default/likes/x", "", bearer, "Tally-Visitor: "+visitor, "X-Forwarded-For: 203.0.113.1").wantStatus(200)
		s.get("/v1/default/likes/x", bearer, "Origin: "+stranger).wantStatus(200)
	}
	if c := s.get("/v1/default/likes/x", bearer).count(); c.Count != 5 {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{token + "x", token[1:], "x"} {
		if a := s.do("POST", "/v1/default/likes/x", `{"visitor":"visitor-6"}`, "Authorization: Bearer "+wrong); a.status < 400 {
			t.Errorf("token %q: %d", wrong, a.status)
		}
	}
	if strings.Contains(s.Log.String(), token) {
		t.Error("the token was logged")
	}
}
