package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/ratelimit"
)

// An address adds a limited number of contributions to a topic, over every transport.
// Changes, repetitions and withdrawals are free, in metrics of every rule.
func TestTopicLimit_NewContributions(t *testing.T) {
	for metric, fields := range map[string][3]string{ // the contribution, another one, a withdrawal
		"likes": {`"amount":1`, `"amount":1`, `"amount":0`}, "claps": {`"amount":3`, `"amount":5`, `"amount":0`},
		"visitors": {`"amount":1`, `"amount":1`, ""}, "views": {`"amount":1`, `"amount":1`, ""},
		"rating": {`"option":2`, `"option":4`, `"option":0`},
	} {
		t.Run(metric, func(t *testing.T) {
			r := newRig(t, func(o *Options) {
				o.ServerToken = "0123456789abcdef"
				o.Limits = ratelimit.New(ratelimit.Limits{Topic: hourly(2)}, nil)
			})
			topic := "blog/" + metric + "/x"
			post := func(visitor int, contribution string, header ...string) answer {
				return r.do("POST", "/v1/"+topic, fmt.Sprintf(`{"visitor":"visitor-%d",%s}`, visitor, contribution), header...)
			}
			refused := func(a answer) {
				t.Helper()
				if a.hasError(429, "rate_limited").contains("--topic-limit").header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			}
			s := r.socket()
			if got := s.ask(`{"assert":"` + topic + `","visitor":"visitor-1","id":1,` + fields[0] + `}`); !strings.Contains(got, `"changed":true`) {
				t.Fatal(got)
			}
			post(2, fields[0]).hasStatus(200)
			refused(post(3, fields[0]))
			if got := s.ask(`{"assert":"` + topic + `","visitor":"visitor-3","id":2,` + fields[0] + `}`); !strings.Contains(got, `"rate_limited"`) || !strings.Contains(got, `"retry_after":`) {
				t.Error(got)
			}
			if fields[2] != "" {
				field := strings.NewReplacer(`"`, "", ":", "=").Replace(fields[0])
				refused(r.do("POST", "/v1/"+topic, "return=/&"+field, "Content-Type", urlencoded))
			}
			for range 3 {
				post(1, fields[0]).hasStatus(200)
				post(1, fields[1]).hasStatus(200)
			}
			if fields[2] != "" {
				post(1, fields[2]).hasStatus(200).contains(`"changed":true`)
				refused(post(1, fields[0])) // the visitor has none now
			}
			post(4, fields[0], "Authorization", "Bearer 0123456789abcdef").hasStatus(200)
			r.do("POST", "/v1/blog/"+metric+"/other", "{"+fields[0]+"}").hasStatus(200)
		})
	}
}

// Each signed visitor is one person, whatever address they share.
func TestTopicLimit_SignedVisitors(t *testing.T) {
	r := newRig(t, func(o *Options) {
		signedKeys(t)(o)
		o.Limits = ratelimit.New(ratelimit.Limits{Topic: hourly(1)}, nil)
	})
	r.do("POST", "/v1/default/likes/x", `{"visitor":"ann-visitor"}`).hasStatus(200)
	r.do("POST", "/v1/default/likes/x", `{"visitor":"bob-visitor"}`).hasError(429, "rate_limited")
	for i := range 3 {
		token := tokenFor(visitorKey, fmt.Sprint("reader-", i), 0)
		r.do("POST", "/v1/default/likes/x", `{"visitor_token":"`+token+`"}`).hasStatus(200).contains(`"changed":true`)
	}
}
