package api

import (
	"encoding/json"
	"testing"

	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
)

var bodies = []string{
	"", "{}", " { } ", `{"visitor":"ann-visitor","amount":1}`, `{"amount":0}`, `{"amount":007}`, `{"amount":-0}`, `{"amount":1.0}`,
	`{"visitor":"ann-visitor",}`, `{,"amount":1}`, `{"amount":1,"amount":0}`, `{"visitor":"ann\u002dvisitor"}`, `{"visitor":null}`,
	`{"amount":1}}`, `{"amount":123456789012}`, "[]", `"x"`, `{"visitor":"short"}`, "{\"amount\" :\t1\n}", `{"amount"1}`, `{"visitor":{}}`,
	`{"visitor":"ann-visitor","visitor_token":"a.b.c"}`, `{"visitor_token":""}`, `{"visitor_token":"a","visitor_token":"b"}`, `{"visitor_token":"\u0061"}`, `{"visitor_token":7}`,
	`{"visitor":"ann-visitor","option":3}`, `{"option":0}`, `{"option":null,"amount":1}`, `{"option":1,"option":2}`, `{"option":01}`,
}

// parseFastAssertion agrees with encoding/json.
func FuzzAssertion(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseAssertion(body)
		if err != nil {
			if _, status := problem.Of(err); status != 400 {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if got.visitor != "" && tally.ValidateVisitor(got.visitor) != nil {
			t.Fatalf("%q names %q", body, got.visitor)
		}
		if len(body) == 0 {
			return
		}
		var want struct {
			Visitor *string
			Token   *string `json:"visitor_token"`
			Amount  *int64
			Option  *int64
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("%q was taken, and is not JSON: %v", body, err)
		}
		if want.Visitor != nil && *want.Visitor != got.visitor || want.Token != nil && *want.Token != got.token || want.Amount != nil && *want.Amount != got.amount || (want.Amount != nil) != got.hasAmount ||
			want.Option != nil && *want.Option != got.option || (want.Option != nil) != got.hasOption {
			t.Fatalf("%q is %+v", body, got)
		}
	})
}

func FuzzList(f *testing.F) {
	for _, body := range append(bodies, `{"topics":["a/b/c"],"visitor":"ann-visitor"}`, `{"topics":[null]}`, `{"topics":[],"present":[]}`) {
		f.Add([]byte(body), "visitor")
		f.Add([]byte(body), "present")
	}
	f.Fuzz(func(t *testing.T, body []byte, also string) {
		if also != "visitor" && also != "present" {
			return
		}
		l, err := parseList(body, also)
		if err == nil && (l.visitor != "" && also != "visitor" || l.present != nil && also != "present") {
			t.Fatalf("%q is %+v", body, l)
		}
	})
}

func TestFastAssertion_CommonBodies(t *testing.T) {
	for _, body := range []string{`{"visitor":"ann-visitor","amount":1}`, `{"visitor":"ann-visitor","option":3}`} {
		if _, ok := parseFastAssertion([]byte(body), nil); !ok {
			t.Fatalf("%s is not plain", body)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = parseAssertion([]byte(body)) }); n > 2 {
			t.Errorf("%s: %v allocations", body, n)
		}
	}
}
