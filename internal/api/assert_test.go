package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/tally"
)

// socket is a client's WebSocket.
type socket struct {
	t    testing.TB
	conn *websocket.Conn
}

// socket opens a WebSocket until the test ends. header has names and values in turn.
func (r *rig) socket(header ...string) *socket {
	r.t.Helper()
	headers := http.Header{}
	for i := 0; i < len(header); i += 2 {
		headers.Set(header[i], header[i+1])
	}
	conn, _, err := websocket.Dial(r.t.Context(), "ws"+strings.TrimPrefix(r.public.URL, "http")+"/v1/ws", &websocket.DialOptions{HTTPHeader: headers})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{r.t, conn}
}

func (s *socket) send(message string) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, []byte(message)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next frame.
func (s *socket) next() string {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer stop()
	_, frame, err := s.conn.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(frame)
}

// ask sends a message and returns the next frame.
func (s *socket) ask(message string) string {
	s.t.Helper()
	s.send(message)
	return s.next()
}

func TestAssert_AnswerOfPost(t *testing.T) {
	r := newRig(t, nil)
	s := r.socket("Origin", "https://blog.example")
	got := s.ask(`{"assert":"blog/likes/hello","visitor":"` + ann + `","amount":1,"id":7}`)
	post := r.do("POST", "/v1/blog/likes/hello", `{"visitor":"`+ann+`"}`).hasStatus(200).contains(`"changed":false`)
	if want := `{"id":7,` + strings.Replace(string(post.body[1:]), `"changed":false`, `"changed":true`, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := s.ask(`{"assert":"blog/claps/hello","visitor":"` + ann + `","amount":50,"id":8}`); !strings.Contains(got, `"mine":50,"changed":true}`) {
		t.Error(got)
	}
	if got := s.ask(`{"assert":"blog/votes/hello","visitor":"` + ann + `","option":2,"id":8}`); !strings.Contains(got, `"count":1,"options":[0,1],`) || !strings.Contains(got, `"mine":2,"changed":true}`) {
		t.Error(got)
	}
	if got := s.ask(`{ "id" : 9, "amount" : 0, "visitor" : "ann\u002dvisitor", "assert" : "blog/likes/hel\u006co" }`); !strings.Contains(got, `{"id":9,"topic":"blog/likes/hello","count":0`) || !strings.Contains(got, `"mine":0,"changed":true}`) {
		t.Error(got)
	}
	if got := s.ask(`{"assert":"wiki/likes/Grüße","visitor":"` + ann + `","id":10}`); !strings.Contains(got, `"origin_not_allowed"`) && !strings.Contains(got, `"topic":"wiki/likes/Grüße"`) {
		t.Error(got)
	}
}

// Every error has the code of the same POST.
func TestAssert_Errors(t *testing.T) {
	r := newRig(t, func(o *Options) {
		keys := tally.NewKnownKeys("wiki")
		keys.Set("wiki", map[string]bool{"known": true})
		o.Keys = keys
	})
	s := r.socket("Origin", "https://blog.example")
	for topic, bodies := range map[string]map[string]string{
		"blog/likes/x": {
			`"visitor":"short"`:                               "bad_visitor",
			`"visitor":7`:                                     "bad_visitor",
			`"visitor":"` + ann + `","amount":2`:              "bad_amount",
			`"visitor":"` + ann + `","amount":1.5`:            "bad_amount",
			`"visitor":"` + ann + `","amount":-1`:             "bad_amount",
			`"visitor":"` + ann + `","count":1`:               "bad_body",
			`"visitor":"` + ann + `","amount":12345678901234`: "bad_amount",
		},
		"blog/votes/x": {
			`"visitor":"` + ann + `"`:              "bad_amount",
			`"visitor":"` + ann + `","option":3`:   "bad_amount",
			`"visitor":"` + ann + `","amount":1`:   "bad_amount",
			`"visitor":"` + ann + `","option":"1"`: "bad_amount",
		},
		"blog/claps/x":      {`"visitor":"` + ann + `","amount":51`: "bad_amount"},
		"blog/readers/x":    {`"visitor":"` + ann + `"`: "read_only_metric"},
		"blog/cheers/x":     {`"visitor":"` + ann + `"`: "unknown_metric"},
		"nowhere/likes/x":   {`"visitor":"` + ann + `"`: "unknown_site"},
		"default/likes/x":   {`"visitor":"` + ann + `"`: "origin_not_allowed"},
		"wiki/likes/absent": {`"visitor":"` + ann + `"`: "unknown_key"},
	} {
		for body, code := range bodies {
			post := r.do("POST", "/v1/"+topic, "{"+body+"}", "Origin", "https://blog.example")
			if got := post.field("code"); got != code {
				t.Errorf("POST %s {%s}: %v, want %s", topic, body, got, code)
			}
			detail, _ := json.Marshal(post.field("detail"))
			want := fmt.Sprintf(`{"id":5,"error":{"code":%q,"message":%s}}`, code, unescaped(detail))
			if got := s.ask(`{"assert":"` + topic + `","id":5,` + body + `}`); got != want {
				t.Errorf("%s {%s}: %s, want %s", topic, body, got, want)
			}
		}
	}
	for message, code := range map[string]string{
		`{"assert":"bad","id":5}`:                                       "bad_topic",
		`{"assert":null,"id":5}`:                                        "bad_topic",
		`{"assert":["blog/likes/x"],"id":5}`:                            "bad_topic",
		`{"assert":"blog/likes/%zz/..","id":5}`:                         "bad_topic",
		`{"assert":"blog/likes/x","subscribe":["blog/likes/x"],"id":5}`: "bad_body",
	} {
		if got := s.ask(message); !strings.HasPrefix(got, `{"id":5,"error":{"code":"`+code+`"`) {
			t.Errorf("%s: %s, want %s", message, got, code)
		}
	}
}

// unescaped returns JSON as the service writes it: with <, > and & as they are.
func unescaped(text []byte) []byte {
	for _, pair := range [][2]string{{`\u003c`, "<"}, {`\u003e`, ">"}, {`\u0026`, "&"}} {
		text = bytes.ReplaceAll(text, []byte(pair[0]), []byte(pair[1]))
	}
	return text
}

func TestAssert_InvalidIDs(t *testing.T) {
	r := newRig(t, nil)
	for _, id := range []string{"", `,"id":null`, `,"id":"7"`, `,"id":-1`, `,"id":7.0`, `,"id":1e3`, `,"id":9007199254740992`, `,"id":99999999999999999999`, `,"id":[]`, `,"ID":7`} {
		s := r.socket()
		if got := s.ask(`{"assert":"blog/likes/x"` + id + `}`); !strings.HasPrefix(got, `{"error":{"code":"bad_body"`) {
			t.Errorf("%s: %s", id, got)
		}
		if got := s.ask(`{"assert":"blog/likes/x","visitor":"` + ann + `","id":0}`); !strings.HasPrefix(got, `{"id":0,"topic"`) {
			t.Errorf("after %s: %s", id, got)
		}
		_ = s.conn.CloseNow() // this address may have three
		for r.api.options.Hub.Viewers() > 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func TestAssert_Limits(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits = limits(1, 0, 1) })
	s := r.socket()
	assert := func(key string) string {
		return s.ask(`{"assert":"blog/likes/` + key + `","visitor":"` + ann + `","id":1}`)
	}
	if got := assert("a"); !strings.Contains(got, `"count":1`) {
		t.Error(got)
	}
	if got := assert("b"); !strings.Contains(got, `"rate_limited"`) || !strings.Contains(got, "--new-topic-limit") || !strings.Contains(got, `"retry_after":3`) {
		t.Error(got)
	}
	if got := assert("a"); !strings.Contains(got, `"changed":false`) {
		t.Error(got)
	}
	if got := assert("a"); !strings.Contains(got, `"rate_limited"`) || !strings.Contains(got, "--rate-limit") || !strings.Contains(got, `"retry_after":`) {
		t.Error(got)
	}
	r.do("POST", "/v1/blog/likes/a", "").hasError(429, "rate_limited") // the same limit
}

// The handshake's headers apply to each assertion.
func TestAssert_HandshakeHeaders(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.TrustedProxies, o.ServerToken = private, "0123456789abcdef"
		o.Limits = limits(1, 0, 1)
	})
	const topic = `{"assert":"blog/likes/x","id":1`
	r.do("POST", "/v1/blog/likes/x", "", "X-Forwarded-For", "198.51.100.7", "User-Agent", "one").hasStatus(200).contains(`"count":1`)
	derived := r.socket("X-Forwarded-For", "198.51.100.7", "User-Agent", "one")
	if got := derived.ask(topic + `}`); !strings.Contains(got, `"count":1`) || !strings.Contains(got, `"changed":false`) {
		t.Errorf("another derived visitor than with POST: %s", got)
	}
	named := r.socket("X-Forwarded-For", "198.51.100.8", "Tally-Visitor", ann)
	if got := named.ask(topic + `}`); !strings.Contains(got, `"count":2`) {
		t.Error(got)
	}
	if got := named.ask(topic + `,"visitor":"` + bob + `"}`); !strings.Contains(got, `"bad_visitor"`) {
		t.Error(got)
	}
	hidden := r.socket("X-Forwarded-For", "unknown")
	if got := hidden.ask(topic + `}`); !strings.Contains(got, `"bad_visitor"`) || !strings.Contains(got, "--trusted-proxy") {
		t.Error(got)
	}
	trusted := r.socket("Authorization", "Bearer 0123456789abcdef", "Origin", "https://evil.example")
	for n := range 10 {
		if got := trusted.ask(fmt.Sprintf(`{"assert":"blog/likes/new-%d","visitor":"%s","id":1}`, n, ann)); !strings.Contains(got, `"count":1`) {
			t.Error(got)
		}
	}
	if got := trusted.ask(topic + `}`); !strings.Contains(got, `"bad_visitor"`) {
		t.Error(got)
	}
}

func TestAssert_StoreAway(t *testing.T) {
	r := newRig(t, nil)
	s := r.socket()
	const message = `{"assert":"blog/likes/x","visitor":"` + ann + `","id":1}`
	if got := s.ask(message); !strings.Contains(got, `"count":1`) {
		t.Fatal(got)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	for {
		got := s.ask(message)
		if strings.Contains(got, `"event"`) {
			got = s.next()
		}
		if strings.Contains(got, `"store_unavailable"`) && strings.Contains(got, `"retry_after":1`) {
			break
		}
		t.Fatal(got)
	}
}

// The answer to an assertion is that of the golden file.
func TestAssert_GoldenAnswer(t *testing.T) {
	data, err := os.ReadFile("../push/testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := catalog.Resolve("blog/likes/hello")
	if err != nil {
		t.Fatal(err)
	}
	answer := appendResult(nil, tally.Result{Change: tally.Change{Topic: topic, Count: 43, Version: 1790000000000001}, Mine: 1, Changed: true})
	if !bytes.Contains(data, append([]byte(`{"id":7,`), answer[1:]...)) {
		t.Errorf("%s is not golden", answer)
	}
}

// A message and a body are read by the same rules.
func FuzzAssertMessage(f *testing.F) {
	for _, body := range bodies {
		f.Add(body, "blog/likes/x", int64(7))
	}
	f.Fuzz(func(t *testing.T, body, topic string, id int64) {
		fields := strings.TrimSpace(body)
		if len(fields) < 2 || fields[0] != '{' || fields[len(fields)-1] != '}' || strings.Contains(body, `"id"`) || strings.Contains(body, `"assert"`) || strings.Contains(body, `\`) {
			return
		}
		name, err := json.Marshal(topic)
		if err != nil {
			t.Fatal(err)
		}
		message := fmt.Sprintf(`{"assert":%s,"id":%d`, name, id)
		if rest := strings.TrimSpace(fields[1 : len(fields)-1]); rest != "" {
			message += "," + rest
		}
		want, wantErr := parseAssertion([]byte(body))
		got, err := parseAssertMessage([]byte(message + "}"))
		if err != nil {
			if wantErr == nil && id >= 0 && id <= maxID {
				t.Fatalf("%s}: %v", message, err)
			}
			return
		}
		if (got.err == nil) != (wantErr == nil) || got.assertionBody != want || got.id != id {
			t.Fatalf("%s}: %+v, want %+v, %v", message, got, want, wantErr)
		}
	})
}

func TestAssertMessage_Allocations(t *testing.T) {
	message := []byte(`{"assert":"blog/likes/hello","visitor":"ann-visitor","amount":1,"id":7}`)
	if n := testing.AllocsPerRun(100, func() {
		if m, err := parseAssertMessage(message); err != nil || m.topic == "" {
			t.Fatal(m, err)
		}
	}); n > 4 {
		t.Errorf("%v allocations", n)
	}
}
