package api

import "testing"

// A visitor chooses an option, chooses otherwise, and takes the choice back. Each answer is
// checked against the OpenAPI document.
func TestChoice(t *testing.T) {
	r := newRig(t, nil)
	const path, visitor = "/v1/blog/rating/hello", `"visitor":"ann-visitor"`
	r.do("GET", path, "").hasStatus(200).contains(`{"topic":"blog/rating/hello","count":0,"options":[0,0,0,0,0],"version":0}`)
	r.do("POST", path, `{`+visitor+`,"option":4}`).hasStatus(200).contains(`"count":1,"options":[0,0,0,1,0],`).contains(`"mine":4,"changed":true}`)
	r.do("POST", path, `{`+visitor+`,"option":4}`).hasStatus(200).contains(`"options":[0,0,0,1,0],`).contains(`"mine":4,"changed":false}`)
	r.do("POST", path, `{"visitor":"bob-visitor","option":5}`).hasStatus(200).contains(`"count":2,"options":[0,0,0,1,1],`)
	r.do("POST", path, `{`+visitor+`,"option":2}`).hasStatus(200).contains(`"count":2,"options":[0,1,0,0,1],`).contains(`"mine":2,"changed":true}`)
	r.do("GET", path, "", "Tally-Visitor", "ann-visitor").hasStatus(200).contains(`"mine":2}`)
	r.do("GET", "/v1/counts?topic=blog/rating/hello", "").hasStatus(200).contains(`"count":2,"options":[0,1,0,0,1],`)
	r.do("POST", "/v1/counts", `{"topics":["blog/rating/hello"],`+visitor+`}`).hasStatus(200).contains(`"options":[0,1,0,0,1],`).contains(`"mine":2`)
	r.do("GET", "/v1/top/blog/rating", "").hasStatus(200).contains(`"options":[0,1,0,0,1]`)
	r.do("GET", "/badge/blog/rating/hello.svg", "").hasStatus(200).contains("rating: 2")
	r.do("GET", "/badge/blog/rating/hello.svg?show=average", "").hasStatus(200).contains("rating: 3.5").contains(">3.5<")
	r.do("GET", "/badge/blog/rating/none.svg?show=average", "").hasStatus(200).contains("rating: –")
	r.do("DELETE", path, `{`+visitor+`}`).hasStatus(200).contains(`"count":1,"options":[0,0,0,0,1],`).contains(`"mine":0,"changed":true}`)
	r.do("POST", path, `{"visitor":"bob-visitor","option":0}`).hasStatus(200).contains(`"count":0,"options":[0,0,0,0,0],`)

	r.do("POST", "/v1/blog/votes/hello", `{`+visitor+`,"option":2}`).hasStatus(200).contains(`"options":[0,1],`)
	own := []string{"Content-Type", urlencoded, "Host", "tally.example", "Origin", "https://tally.example"}
	r.do("POST", "/v1/blog/poll/form", "option=10&return=/p", own...).hasStatus(303)
	r.do("GET", "/v1/blog/poll/form", "").hasStatus(200).contains(`"options":[0,0,0,0,0,0,0,0,0,1]`)
	r.do("POST", "/v1/blog/poll/form", "amount=1&return=/p", own...).hasStatus(400)
	r.do("POST", "/v1/blog/poll/form", "return=/p", own...).hasStatus(400)
	r.do("GET", "/badge/blog/votes/hello.svg?show=score", "").hasStatus(200).contains("votes: −1")
	r.do("GET", "/badge/blog/votes/hello.svg?show=sum", "").hasError(400, "bad_body")
	r.do("GET", "/badge/blog/likes/hello.svg?show=score", "").hasError(400, "bad_body")
}

func TestChoice_Refused(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct{ method, path, body, message string }{
		{"POST", "/v1/blog/rating/x", `{"option":6}`, "options 1 to 5"},
		{"POST", "/v1/blog/rating/x", `{"option":-1}`, "options 1 to 5"},
		{"POST", "/v1/blog/rating/x", `{"option":1.5}`, "option must be a whole number"},
		{"POST", "/v1/blog/rating/x", `{"amount":1}`, "option"},
		{"POST", "/v1/blog/rating/x", `{"amount":0,"option":1}`, "option"},
		{"POST", "/v1/blog/rating/x", `{}`, "option"},
		{"POST", "/v1/blog/rating/x", "", "option"},
		{"POST", "/v1/blog/likes/x", `{"option":1}`, "amount"},
		{"DELETE", "/v1/blog/rating/x", `{"option":3}`, "DELETE"},
	} {
		r.do(c.method, c.path, c.body).hasError(400, "bad_amount").contains(c.message)
	}
	r.do("GET", "/v1/blog/rating/x", "").hasStatus(200).contains(`"version":0`)
}
