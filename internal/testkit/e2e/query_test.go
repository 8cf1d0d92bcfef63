package e2e_test

import (
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// A topic with a broken encoding gets an error in its place. The others work.
func TestQuery_OneBrokenTopic(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.like("default/likes/hello", "visitor-1", "1")
	s.like("default/likes/a;b", "visitor-1", "1")
	const query = "?topic=default/likes/hello&topic=default/likes/a;b&topic=default/likes/100%&topic=default/likes/%zz%20&topic=;&topic=default/likes/100%25"
	list := s.get("/v1/counts" + query).counts()
	for i, want := range []struct {
		topic string
		count int64
		code  string
	}{
		{"default/likes/hello", 1, ""}, {"default/likes/a;b", 1, ""}, {"default/likes/100%", 0, "bad_topic"}, {"default/likes/%zz%20", 0, "bad_topic"},
		{";", 0, "bad_topic"}, {"default/likes/100%", 0, ""},
	} {
		code := ""
		if got := list[i]; got.Error != nil {
			code = got.Error.Code
		}
		if got := list[i]; got.Topic != want.topic || got.Count != want.count || code != want.code {
			t.Errorf("place %d: %+v, want %+v", i, got, want)
		}
	}
	for name, v := range map[string]*viewer{"stream": s.watch(query + "&present=default/readers/%&present=default/readers/r;s"), "socket": s.dial(query + "&present=default/readers/%&present=default/readers/r;s")} {
		v.awaitEvents("live", 1)
		v.awaitCount("default/likes/hello", 1)
		v.awaitCount("default/likes/a;b", 1)
		v.awaitCount("default/likes/100%", 0)
		for _, topic := range []string{"default/likes/100%", "default/likes/%zz%20", ";", "default/readers/%"} {
			v.awaitFrame(name+": the refusal of "+topic, func(f frame) bool { return f.Topic == topic && f.Error != nil && f.Error.Code == "bad_topic" })
		}
		s.like("default/likes/hello", "visitor-"+name, "1")
	}
	processtest.Eventually(t, "both readers", func() bool { return s.read("default/readers/r%3Bs").Count == 2 })
	// A stream without a valid topic stays open.
	v := s.watch("?topic=%")
	v.awaitEvents("live", 1)
	s.get("/v1/top/default/likes?limit=1&x=a;b&y=%").wantStatus(200)
	s.get("/v1/top/default/likes?limit=abc").wantProblem(400, "bad_body").wantBody("abc").wantBody("1 to 100")
	s.get("/badge/default/likes/hello.svg?label=%&x=;").wantStatus(200)
}
