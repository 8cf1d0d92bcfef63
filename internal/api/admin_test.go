package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	adminToken  = "admin-token-of-this-test"
	serverToken = "server-token-of-this-test"
)

// ownRig is a rig with an owner's desk.
type ownRig struct {
	*rig
	desk *owner.Service
}

func newOwnRig(t testing.TB, change func(*Options, *admin.Options)) *ownRig {
	t.Helper()
	return newOwnRigOn(t, sqlitestore.Options{}, change)
}

// newOwnRigUnder starts a service with a secret of its own.
func newOwnRigUnder(t testing.TB, secret string) *ownRig {
	t.Helper()
	return newOwnRigOn(t, sqlitestore.Options{Secret: []byte(secret)}, nil)
}

func newOwnRigOn(t testing.TB, own sqlitestore.Options, change func(*Options, *admin.Options)) *ownRig {
	t.Helper()
	own.Journal = 7 * 24 * time.Hour
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, own)
	if err != nil {
		t.Fatal(err)
	}
	o := &ownRig{}
	o.rig = newRigOn(t, store, func(options *Options) {
		o.desk = owner.New(store, options.Service, owner.Options{Status: func() owner.InstanceStatus { return owner.InstanceStatus{Version: "here"} }})
		own := admin.Options{Owner: o.desk, Store: store, Catalog: catalog, Token: adminToken, Logger: options.Logger,
			Pages: fstest.MapFS{"index.html": {Data: []byte("<!doctype html>")}, "app.js": {Data: []byte("1")}}}
		options.TrustedProxies = private
		options.ServerToken = serverToken
		if change != nil {
			change(options, &own)
		}
		own.BasePath = options.BasePath
		options.Admin = admin.New(own)
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(ended)
		_ = o.desk.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return o
}

// own does a call as the owner.
func (o *ownRig) own(method, path, body string, header ...string) answer {
	o.t.Helper()
	return o.do(method, o.api.basePath+"/admin/v1/"+path, body, append(header, "Authorization", "Bearer "+adminToken)...)
}

// likes makes n visitors like a topic from an address.
func (o *ownRig) likes(topic, address string, from, n int) {
	o.t.Helper()
	for i := range n {
		o.do("POST", o.api.basePath+"/v1/"+topic, fmt.Sprintf(`{"visitor":"visitor-%04d"}`, from+i), "X-Forwarded-For", address).wants(200)
	}
}

// count reads a count as visitors do.
func (o *ownRig) count(topic string) float64 {
	o.t.Helper()
	n, _ := o.do("GET", o.api.basePath+"/v1/"+topic, "").wants(200).field("count").(float64)
	return n
}

func TestAnOwnerReadsSetsAndEndsTopics(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a/b", "203.0.113.7", 0, 2)
	shown := o.own("GET", "topics/blog/likes/a%2Fb", "").wants(200)
	if shown.field("count") != 2.0 || shown.field("seed") != 0.0 || !strings.HasSuffix(fmt.Sprint(shown.field("changed")), "Z") {
		t.Errorf("%s", shown.body)
	}
	o.own("PATCH", "topics/blog/likes/a/b", `{"seed":40}`).wants(200).says(`"count":42`)
	o.own("PATCH", "topics/blog/likes/a/b", `{"adjustment":-2}`).wants(200).says(`"count":40`)
	changed := o.own("PATCH", "topics/blog/likes/a/b", `{"count":100}`).wants(200).says(`"changed":true`)
	if o.count("blog/likes/a/b") != 100 {
		t.Errorf("%s", changed.body)
	}
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":1,"if_version":1}`).wants(200).says(`"changed":false`)
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":1,"seed":1}`).refuses(400, tally.CodeBadBody)
	o.own("PATCH", "topics/blog/likes/a/b", `{}`).refuses(400, tally.CodeBadBody)
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":-1}`).refuses(400, tally.CodeBadAmount)
	o.own("PATCH", "topics/blog/readers/a", `{"count":1}`).refuses(405, tally.CodeReadOnlyMetric)
	o.own("PATCH", "topics/nowhere/likes/a", `{"count":1}`).refuses(404, tally.CodeUnknownSite)
	o.own("PATCH", "topics/blog/cheers/a", `{"count":1}`).refuses(404, tally.CodeUnknownMetric)
	o.own("GET", "topics/blog/likes/", "").refuses(400, tally.CodeBadTopic)

	o.own("POST", "reset", `{"topics":["blog/likes/a/b","blog/likes/never"]}`).wants(200).says(`"topic":"blog/likes/never"`)
	if o.count("blog/likes/a/b") != 0 {
		t.Error("not reset")
	}
	o.likes("blog/likes/a/b", "203.0.113.7", 0, 1) // who liked before may again
	o.own("DELETE", "topics/blog/likes/a/b", "").wants(200).says(`"changed":true`)
	if a := o.own("GET", "topics/blog/likes/a/b", "").wants(200); a.field("version") != 0.0 || a.field("changed") != nil {
		t.Errorf("%s", a.body)
	}
	o.own("POST", "reset", `{"topics":[]}`).refuses(400, tally.CodeBadBody)
	o.own("POST", "reset", `{"topics":["nonsense"]}`).refuses(400, tally.CodeBadTopic).says("nonsense")

	log := o.own("GET", "audit?limit=3", "").wants(200).says(`"actor":"admin 127.0.0.1"`).says(`"action":"delete"`)
	next, _ := log.field("next").(string)
	if next == "" {
		t.Fatalf("no next page: %s", log.body)
	}
	o.own("GET", "audit?before="+next, "").wants(200).says(`"action":"seed"`)
}

func TestTopicsAreListedInPagesAndOrders(t *testing.T) {
	o := newOwnRig(t, nil)
	for i := range 5 {
		o.likes(fmt.Sprintf("blog/likes/post-%d", i), "203.0.113.7", 0, i+1)
	}
	o.likes("wiki/likes/elsewhere", "203.0.113.7", 0, 1)
	var names []string
	for after, pages := "", 0; ; pages++ {
		a := o.own("GET", "topics?site=blog&metric=likes&prefix=post-&limit=2&after="+after, "").wants(200)
		for _, each := range a.field("topics").([]any) {
			names = append(names, each.(map[string]any)["topic"].(string))
		}
		if after, _ = a.field("next").(string); after == "" || pages > 5 {
			break
		}
	}
	if got := strings.Join(names, " "); got != "blog/likes/post-0 blog/likes/post-1 blog/likes/post-2 blog/likes/post-3 blog/likes/post-4" {
		t.Errorf("%s", got)
	}
	processtest.Eventually(t, "the order by count, which may be 2 s behind", func() bool {
		first := o.own("GET", "topics?order=count&limit=1", "").wants(200)
		return strings.Contains(string(first.body), "blog/likes/post-4")
	})
	processtest.Eventually(t, "the newest, which may be 2 s behind", func() bool {
		first := o.own("GET", "topics?order=newest&limit=1", "").wants(200)
		return strings.Contains(string(first.body), "wiki/likes/elsewhere")
	})
	for query, code := range map[string]tally.Code{
		"order=best": tally.CodeBadBody, "limit=0": tally.CodeBadBody, "limit=1001": tally.CodeBadBody, "limit=x": tally.CodeBadBody,
		"sites=blog": tally.CodeBadBody, "metric=likes": tally.CodeBadBody, "site=blog&prefix=x": tally.CodeBadBody,
		"site=blog&site=wiki": tally.CodeBadBody, "%zz": tally.CodeBadBody,
	} {
		o.own("GET", "topics?"+query, "").refuses(400, code)
	}
	o.own("GET", "topics?site=nowhere", "").refuses(404, tally.CodeUnknownSite)
}

func TestTopicsAreRenamedAndMergedAndKeepTheirVisitors(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/old", "203.0.113.7", 0, 3)
	o.likes("blog/likes/other", "203.0.113.7", 0, 2)
	o.own("POST", "rename", `{"from":"blog/likes/old","to":"blog/likes/new"}`).wants(200).says(`"count":3`)
	o.likes("blog/likes/new", "203.0.113.7", 0, 1) // counted already, under the old name
	if n := o.count("blog/likes/new"); n != 3 {
		t.Errorf("renamed: %v", n)
	}
	o.own("POST", "rename", `{"from":"blog/likes/other","to":"blog/likes/new"}`).refuses(400, tally.CodeBadTopic)
	o.own("POST", "rename", `{"from":"blog/likes/nothing","to":"blog/likes/newer"}`).refuses(404, tally.CodeNotFound)
	o.own("POST", "merge", `{"from":["blog/likes/other"],"to":"blog/likes/new"}`).wants(200).says(`"count":5`)
	o.own("POST", "merge", `{"from":[],"to":"blog/likes/new"}`).refuses(400, tally.CodeBadBody)
	o.own("POST", "merge", `{"from":["x"],"to":"blog/likes/new"}`).refuses(400, tally.CodeBadTopic)
}

func TestAVisitorIsForgottenAndBlocked(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	o.likes("blog/visitors/a", "203.0.113.7", 0, 2)
	o.likes("wiki/likes/a", "203.0.113.7", 0, 1)
	o.own("POST", "forget", `{"visitor":"visitor-0000","site":"blog"}`).wants(200).says(`{"contributions":2}`)
	if o.count("blog/likes/a") != 1 || o.count("blog/visitors/a") != 1 || o.count("wiki/likes/a") != 1 {
		t.Error("not what was asked to be forgotten")
	}
	o.own("POST", "forget", `{"visitor":"x"}`).refuses(400, tally.CodeBadVisitor)

	o.own("POST", "blocks", `{"visitor":"visitor-0007","reason":"sells watches"}`).wants(204)
	o.own("POST", "blocks", `{"range":"198.51.100.0/24"}`).wants(204)
	o.own("POST", "blocks", `{"range":"2001:db8::1"}`).wants(204)
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0007"}`).refuses(403, tally.CodeBlocked)
	for _, address := range []string{"198.51.100.9", "2001:db8::1"} {
		o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0008"}`, "X-Forwarded-For", address).refuses(403, tally.CodeBlocked)
	}
	// The next address is another's, though limits count them together.
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0008"}`, "X-Forwarded-For", "2001:db8::2").wants(200)
	o.own("GET", "blocks", "").wants(200).says(`{"range":"198.51.100.0/24"`).says(`{"range":"2001:db8::1/128"`).says(`"reason":"sells watches"`)
	o.own("DELETE", "blocks", `{"range":"198.51.100.0/24"}`).wants(204)
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0009"}`, "X-Forwarded-For", "198.51.100.9").wants(200)
	o.own("DELETE", "blocks", `{"range":"198.51.100.0/24"}`).refuses(404, tally.CodeNotFound)
	o.own("POST", "blocks", `{"range":"0.0.0.0/0"}`).refuses(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{"range":"nonsense"}`).refuses(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{}`).refuses(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{"range":"192.0.2.1","reason":"`+strings.Repeat("x", 1001)+`"}`).refuses(400, tally.CodeBadBody)
}

func TestASpikeIsSeenLookedAtAndUndone(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 3)
	o.likes("blog/likes/a", "198.51.100.9", 100, 40)
	spikes := o.own("GET", "spikes?site=blog&since=1h", "").wants(200).says(`"topic":"blog/likes/a"`)
	var found struct {
		Spikes []struct {
			Sources []struct {
				Source        string
				Contributions int
			}
		}
	}
	if err := json.Unmarshal(spikes.body, &found); err != nil || len(found.Spikes) != 1 || len(found.Spikes[0].Sources) == 0 || found.Spikes[0].Sources[0].Contributions != 40 {
		t.Fatalf("%v: %s", err, spikes.body)
	}
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	body := func(more string) string {
		return fmt.Sprintf(`{"site":"blog","metric":"likes","from":%q,"sources":[%q]%s}`, since, found.Spikes[0].Sources[0].Source, more)
	}
	o.own("POST", "undo", body(`,"preview":true`)).wants(200).says(`"contributions":40`).says(`"undone":false`)
	if n := o.count("blog/likes/a"); n != 43 {
		t.Errorf("a preview changed it to %v", n)
	}
	o.own("POST", "undo", body("")).wants(200).says(`"contributions":40`).says(`"undone":true`)
	if n := o.count("blog/likes/a"); n != 3 {
		t.Errorf("%v, want 3", n)
	}
	o.own("POST", "undo", fmt.Sprintf(`{"topics":["blog/likes/a"],"from":%q,"addresses":["203.0.113.99"]}`, since)).wants(200).says(`"contributions":3`)
	for _, wrong := range []string{
		`{"from":"` + since + `"}`, `{"site":"blog"}`, `{"site":"blog","from":"yesterday"}`, `{"site":"blog","from":"` + since + `","topics":["blog/likes/a"]}`,
		`{"site":"blog","from":"` + since + `","to":"2020-01-01T00:00:00Z"}`, `{"site":"blog","from":"` + since + `","sources":["xyz"]}`,
		`{"site":"blog","from":"` + since + `","addresses":["here"]}`,
		`{"site":"blog","from":"` + since + `","addresses":[""]}`,
	} {
		o.own("POST", "undo", wrong).refuses(400, tally.CodeBadBody)
	}
	o.own("GET", "spikes?since=forever", "").refuses(400, tally.CodeBadBody)
}

func TestUntouchedTopicsArePruned(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 1)
	hour := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q}`, hour)).wants(200).says(`{"topics":[]}`)
	processtest.Eventually(t, "a second has passed since", func() bool {
		now := time.Now().UTC().Format(time.RFC3339)
		return strings.Contains(string(o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q,"preview":true}`, now)).wants(200).body), "blog/likes/a")
	})
	if o.count("blog/likes/a") != 1 {
		t.Error("a preview ended it")
	}
	o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q}`, time.Now().UTC().Format(time.RFC3339))).wants(200).says("blog/likes/a")
	if o.count("blog/likes/a") != 0 {
		t.Error("still there")
	}
	o.own("POST", "prune", fmt.Sprintf(`{"untouched_since":%q}`, hour)).refuses(400, tally.CodeBadBody)
	o.own("POST", "prune", `{"site":"blog"}`).refuses(400, tally.CodeBadBody)
}

func TestSeedsAreSetOnceAndShownBefore(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	const seeds = `"seeds":[{"topic":"blog/likes/a","seed":40},{"topic":"blog/likes/new","seed":0},{"topic":"nonsense","seed":1},{"topic":"blog/readers/a","seed":1},{"topic":"blog/likes/b","seed":-1}]`
	preview := o.own("POST", "seeds", `{`+seeds+`,"preview":true}`).wants(200)
	preview.says(`{"topic":"blog/likes/a","seed":40,"before":0,"changed":true}`).says(`"code":"bad_topic"`).says(`"code":"read_only_metric"`).says(`"code":"bad_amount"`)
	if o.count("blog/likes/a") != 2 {
		t.Error("a preview changed it")
	}
	if done := o.own("POST", "seeds", `{`+seeds+`}`).wants(200); string(done.body) != string(preview.body) {
		t.Errorf("the preview said %s, it was %s", preview.body, done.body)
	}
	if o.count("blog/likes/a") != 42 {
		t.Error("not seeded")
	}
	o.own("POST", "seeds", `{`+seeds+`}`).wants(200).says(`{"topic":"blog/likes/a","seed":40,"before":40,"changed":false}`)
	o.own("POST", "seeds", `{"seeds":[`+strings.Repeat(`{"topic":"x","seed":1},`, 1000)+`{"topic":"x","seed":1}]}`).refuses(400, tally.CodeTooManyTopics)
}

func TestTheOverviewShowsInstancesAndActivity(t *testing.T) {
	o := newOwnRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	processtest.Eventually(t, "the first pulse", func() bool {
		return strings.Contains(string(o.own("GET", "overview", "").wants(200).body), `"version":"here"`)
	})
}

// On a site with known keys visitors make no topics, and waste nobody's limit by trying.
func TestUnknownKeysAreRefusedUntilTheyAreKnown(t *testing.T) {
	keys := tally.NewKnownKeys("blog")
	keys.Set("blog", map[string]bool{"known": true})
	o := newOwnRig(t, func(options *Options, _ *admin.Options) {
		options.Keys = keys
		options.Limits = limits(1_000_000, 0, 3)
	})
	like := func(topic string, header ...string) answer {
		return o.do("POST", "/v1/"+topic, `{"visitor":"visitor-0001"}`, header...)
	}
	for range 5 {
		like("blog/likes/unknown").refuses(404, tally.CodeUnknownKey).says("unknown")
	}
	for _, topic := range []string{"blog/likes/known", "blog/likes/site", "wiki/likes/anything"} { // three new topics: the limit is whole
		like(topic).wants(200)
	}
	like("wiki/likes/one-more").refuses(429, tally.CodeRateLimited)
	like("blog/likes/by-token", "Authorization", "Bearer "+serverToken).wants(200)
	like("blog/likes/by-token").wants(200)
	o.own("PATCH", "topics/blog/likes/seeded", `{"seed":7}`).wants(200)
	like("blog/likes/seeded").wants(200).says(`"count":8`)
	like("blog/likes/unknown").refuses(404, tally.CodeUnknownKey)
	o.do("GET", "/v1/blog/likes/unknown", "").wants(200).says(`"count":0`)
}

func TestWhatIsDoneComesFromTheClientBehindTrustedProxies(t *testing.T) {
	o := newOwnRig(t, nil)
	o.own("PATCH", "topics/blog/likes/a", `{"count":1}`, "X-Forwarded-For", "2001:db8::1234").wants(200)
	o.own("GET", "audit", "").wants(200).says(`"actor":"admin 2001:db8::1234"`)
}

func TestBodiesOfAnotherFormAreRefused(t *testing.T) {
	o := newOwnRig(t, nil)
	const path = "topics/blog/likes/a"
	o.own("PATCH", path, `{"count":1}`, "Content-Type", "text/plain").refuses(415, tally.CodeUnsupportedMediaType)
	o.own("PATCH", path, `count=1`, "Content-Type", "application/x-www-form-urlencoded").refuses(415, tally.CodeUnsupportedMediaType)
	for _, body := range []string{`{"count":`, `[]`, `{"count":1}{}`, `{"count":"1"}`, `{"likes":1}`, "{\"count\":1,\"\xff\":1}", `null {}`} {
		o.own("PATCH", path, body).refuses(400, tally.CodeBadBody)
	}
	for body, says := range map[string]string{
		`{"count":1.5}`: "count is number 1.5 and must be a whole number", `{"count":99999999999999999999}`: "a whole number", `"x"`: "it is string and must be an object",
		`{"count":true}`: "count is bool",
	} {
		if a := o.own("PATCH", path, body).refuses(400, tally.CodeBadBody).says(says); strings.Contains(string(a.body), "Go ") {
			t.Errorf("%s tells of our types: %s", body, a.body)
		}
	}
	o.own("PATCH", path, `{"count":1`+strings.Repeat(" ", 4<<20)+`}`).refuses(413, tally.CodeBodyTooLarge)
	o.do("POST", "/admin/v1/session", `{"token":"`+strings.Repeat("x", 4<<10)+`"}`).refuses(413, tally.CodeBodyTooLarge)
	o.own("PUT", path, `{}`).refuses(405, tally.CodeMethodNotAllowed).has("Allow", "DELETE, GET, HEAD, PATCH")
	o.own("GET", "nothing", "").refuses(404, tally.CodeNotFound)
	o.own("DELETE", "topics/blog/likes//a", "").refuses(400, tally.CodeBadTopic)
	o.own("DELETE", "topics/blog/likes/x/../a", "").refuses(400, tally.CodeBadTopic)
	o.own("GET", "topics", "").wants(200).says(`{"topics":[],"next":""}`)
	o.own(http.MethodHead, "topics", "").wants(200)
}

func TestNumbersAreTakenAlongAndBroughtBack(t *testing.T) {
	const secret = "one secret of two services"
	from, to := newOwnRigUnder(t, secret), newOwnRigUnder(t, secret)
	from.likes("blog/likes/a", "203.0.113.7", 0, 3)
	from.own("PATCH", "topics/blog/likes/a", `{"seed":40}`).wants(200)
	from.likes("wiki/likes/b", "203.0.113.7", 0, 1)
	export := from.own("GET", "export?site=blog", "").clean().wants(200).has("Content-Type", "application/jsonl").says(`"topic":"blog/likes/a"`)
	if strings.Contains(string(export.body), secret) || strings.Contains(string(export.body), "wiki") {
		t.Errorf("%s", export.body)
	}
	for _, mode := range []string{"", "?mode=merge", "?mode=replace"} {
		to.own("POST", "import"+mode, string(export.body), "Content-Type", "application/jsonl").wants(200).says(`"topics":1,"contributions":3`)
	}
	if n := to.count("blog/likes/a"); n != 43 {
		t.Errorf("%v", n)
	}
	to.likes("blog/likes/a", "203.0.113.7", 0, 1)
	if n := to.count("blog/likes/a"); n != 43 {
		t.Errorf("who was imported counts again: %v", n)
	}
	to.own("GET", "audit", "").wants(200).says(`"action":"import"`)
	header, _, _ := strings.Cut(string(export.body), "\n")
	to.own("POST", "import", header+"\nnonsense\n", "Content-Type", "application/jsonl").wants(200).says(`"refused":1`).says(`"line":2`)
	to.own("POST", "import", "nonsense", "Content-Type", "application/jsonl").refuses(400, tally.CodeBadBody)
	to.own("POST", "import?mode=both", header, "Content-Type", "application/jsonl").refuses(400, tally.CodeBadBody)
	to.own("POST", "import", header).refuses(415, tally.CodeUnsupportedMediaType)
	newOwnRigUnder(t, "another secret of theirs").own("POST", "import", string(export.body), "Content-Type", "application/jsonl").refuses(400, tally.CodeBadBody).says("secret")

	from.own("GET", "export?format=csv", "").wants(200).has("Content-Type", "text/csv; charset=utf-8").says("blog/likes/a,43\n")
	from.own("GET", "export?format=json&site=wiki", "").wants(200).says(`{"topic":"wiki/likes/b","count":1}`)
	from.own(http.MethodHead, "export", "").wants(200).has("Content-Type", "application/jsonl")
	from.own("GET", "export?format=xls", "").refuses(400, tally.CodeBadBody)
	from.own("GET", "export?site=nowhere", "").refuses(404, tally.CodeUnknownSite)
}
