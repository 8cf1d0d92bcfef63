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

// ownerRig is a rig with the owner's API.
type ownerRig struct {
	*rig
	desk *owner.Service
}

func newOwnerRig(t testing.TB, change func(*Options, *admin.Options)) *ownerRig {
	t.Helper()
	return newOwnerRigOn(t, sqlitestore.Options{}, change)
}

// newOwnerRigUnder starts a service with a secret of its own.
func newOwnerRigUnder(t testing.TB, secret string) *ownerRig {
	t.Helper()
	return newOwnerRigOn(t, sqlitestore.Options{Secret: []byte(secret)}, nil)
}

func newOwnerRigOn(t testing.TB, own sqlitestore.Options, change func(*Options, *admin.Options)) *ownerRig {
	t.Helper()
	own.Journal = 7 * 24 * time.Hour
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, own)
	if err != nil {
		t.Fatal(err)
	}
	o := &ownerRig{}
	o.rig = newRigOn(t, store, func(options *Options) {
		o.desk = owner.New(store, options.Service, owner.Options{Status: func() owner.InstanceStatus { return owner.InstanceStatus{Version: "here"} }})
		own := admin.Options{Owner: o.desk, Token: adminToken, Logger: options.Logger,
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

// own sends a request of the owner.
func (o *ownerRig) own(method, path, body string, header ...string) answer {
	o.t.Helper()
	return o.do(method, o.api.options.BasePath+"/admin/v1/"+path, body, append(header, "Authorization", "Bearer "+adminToken)...)
}

// likes makes n visitors at an address like a topic. It repeats a like that a busy machine did
// not answer in time, as clients do.
func (o *ownerRig) likes(topic, address string, from, n int) {
	o.t.Helper()
	for i := range n {
		var a answer
		processtest.Eventually(o.t, "a like", func() bool {
			a = o.do("POST", o.api.options.BasePath+"/v1/"+topic, fmt.Sprintf(`{"visitor":"visitor-%04d"}`, from+i), "X-Forwarded-For", address)
			return a.status != http.StatusServiceUnavailable
		})
		a.hasStatus(http.StatusOK)
	}
}

// count reads a count through the public API.
func (o *ownerRig) count(topic string) float64 {
	o.t.Helper()
	n, _ := o.do("GET", o.api.options.BasePath+"/v1/"+topic, "").hasStatus(200).field("count").(float64)
	return n
}

func TestAdminTopics_Edit(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a/b", "203.0.113.7", 0, 2)
	shown := o.own("GET", "topics/blog/likes/a%2Fb", "").hasStatus(200)
	if shown.field("count") != 2.0 || shown.field("seed") != 0.0 || !strings.HasSuffix(fmt.Sprint(shown.field("changed")), "Z") {
		t.Errorf("%s", shown.body)
	}
	o.own("PATCH", "topics/blog/likes/a/b", `{"seed":40}`).hasStatus(200).contains(`"count":42`)
	o.own("PATCH", "topics/blog/likes/a/b", `{"adjustment":-2}`).hasStatus(200).contains(`"count":40`)
	changed := o.own("PATCH", "topics/blog/likes/a/b", `{"count":100}`).hasStatus(200).contains(`"changed":true`)
	if o.count("blog/likes/a/b") != 100 {
		t.Errorf("%s", changed.body)
	}
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":1,"if_version":1}`).hasStatus(200).contains(`"changed":false`)
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":1,"seed":1}`).hasError(400, tally.CodeBadBody)
	o.own("PATCH", "topics/blog/likes/a/b", `{}`).hasError(400, tally.CodeBadBody)
	o.own("PATCH", "topics/blog/likes/a/b", `{"count":-1}`).hasError(400, tally.CodeBadAmount)
	o.own("PATCH", "topics/blog/readers/a", `{"count":1}`).hasError(405, tally.CodeReadOnlyMetric)
	o.own("PATCH", "topics/nowhere/likes/a", `{"count":1}`).hasError(404, tally.CodeUnknownSite)
	o.own("PATCH", "topics/blog/cheers/a", `{"count":1}`).hasError(404, tally.CodeUnknownMetric)
	o.own("GET", "topics/blog/likes/", "").hasError(400, tally.CodeBadTopic)

	o.own("POST", "reset", `{"topics":["blog/likes/a/b","blog/likes/never"]}`).hasStatus(200).contains(`"topic":"blog/likes/never"`)
	if o.count("blog/likes/a/b") != 0 {
		t.Error("not reset")
	}
	o.likes("blog/likes/a/b", "203.0.113.7", 0, 1) // who liked before may again
	o.own("DELETE", "topics/blog/likes/a/b", "").hasStatus(200).contains(`"changed":true`)
	if a := o.own("GET", "topics/blog/likes/a/b", "").hasStatus(200); a.field("version") != 0.0 || a.field("changed") != nil {
		t.Errorf("%s", a.body)
	}
	o.own("POST", "reset", `{"topics":[]}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "reset", `{"topics":["nonsense"]}`).hasError(400, tally.CodeBadTopic).contains("nonsense")

	log := o.own("GET", "audit?limit=3", "").hasStatus(200).contains(`"actor":"admin 127.0.0.1"`).contains(`"action":"delete"`)
	next, _ := log.field("next").(string)
	if next == "" {
		t.Fatalf("no next page: %s", log.body)
	}
	o.own("GET", "audit?before="+next, "").hasStatus(200).contains(`"action":"seed"`)
}

func TestAdminTopics_List(t *testing.T) {
	o := newOwnerRig(t, nil)
	for i := range 5 {
		o.likes(fmt.Sprintf("blog/likes/post-%d", i), "203.0.113.7", 0, i+1)
	}
	o.likes("wiki/likes/elsewhere", "203.0.113.7", 0, 1)
	var names []string
	for after, pages := "", 0; ; pages++ {
		a := o.own("GET", "topics?site=blog&metric=likes&prefix=post-&limit=2&after="+after, "").hasStatus(200)
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
		first := o.own("GET", "topics?order=count&limit=1", "").hasStatus(200)
		return strings.Contains(string(first.body), "blog/likes/post-4")
	})
	processtest.Eventually(t, "the newest, which may be 2 s behind", func() bool {
		first := o.own("GET", "topics?order=newest&limit=1", "").hasStatus(200)
		return strings.Contains(string(first.body), "wiki/likes/elsewhere")
	})
	for query, code := range map[string]tally.Code{
		"order=best": tally.CodeBadBody, "limit=0": tally.CodeBadBody, "limit=1001": tally.CodeBadBody, "limit=x": tally.CodeBadBody,
		"sites=blog": tally.CodeBadBody, "metric=likes": tally.CodeBadBody, "site=blog&prefix=x": tally.CodeBadBody,
		"site=blog&site=wiki": tally.CodeBadBody, "%zz": tally.CodeBadBody,
	} {
		o.own("GET", "topics?"+query, "").hasError(400, code)
	}
	o.own("GET", "topics?site=nowhere", "").hasError(404, tally.CodeUnknownSite)
}

func TestAdminTopics_RenameAndMerge(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/old", "203.0.113.7", 0, 3)
	o.likes("blog/likes/other", "203.0.113.7", 0, 2)
	o.own("POST", "rename", `{"from":"blog/likes/old","to":"blog/likes/new"}`).hasStatus(200).contains(`"count":3`)
	o.likes("blog/likes/new", "203.0.113.7", 0, 1) // counted already, under the old name
	if n := o.count("blog/likes/new"); n != 3 {
		t.Errorf("renamed: %v", n)
	}
	o.own("POST", "rename", `{"from":"blog/likes/other","to":"blog/likes/new"}`).hasError(400, tally.CodeBadTopic)
	o.own("POST", "rename", `{"from":"blog/likes/nothing","to":"blog/likes/newer"}`).hasError(404, tally.CodeNotFound)
	o.own("POST", "merge", `{"from":["blog/likes/other"],"to":"blog/likes/new"}`).hasStatus(200).contains(`"count":5`)
	o.own("POST", "merge", `{"from":[],"to":"blog/likes/new"}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "merge", `{"from":["x"],"to":"blog/likes/new"}`).hasError(400, tally.CodeBadTopic)
}

func TestAdminVisitors_ForgetAndBlock(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	o.likes("blog/visitors/a", "203.0.113.7", 0, 2)
	o.likes("wiki/likes/a", "203.0.113.7", 0, 1)
	o.own("POST", "forget", `{"visitor":"visitor-0000","site":"blog"}`).hasStatus(200).contains(`{"contributions":2}`)
	if o.count("blog/likes/a") != 1 || o.count("blog/visitors/a") != 1 || o.count("wiki/likes/a") != 1 {
		t.Error("not what was asked to be forgotten")
	}
	o.own("POST", "forget", `{"visitor":"x"}`).hasError(400, tally.CodeBadVisitor)

	o.own("POST", "blocks", `{"visitor":"visitor-0007","reason":"sells watches"}`).hasStatus(204)
	o.own("POST", "blocks", `{"range":"198.51.100.0/24"}`).hasStatus(204)
	o.own("POST", "blocks", `{"range":"2001:db8::1"}`).hasStatus(204)
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0007"}`).hasError(403, tally.CodeBlocked)
	for _, address := range []string{"198.51.100.9", "2001:db8::1"} {
		o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0008"}`, "X-Forwarded-For", address).hasError(403, tally.CodeBlocked)
	}
	// The next address is not blocked, though limits count both together.
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0008"}`, "X-Forwarded-For", "2001:db8::2").hasStatus(200)
	o.own("GET", "blocks", "").hasStatus(200).contains(`{"range":"198.51.100.0/24"`).contains(`{"range":"2001:db8::1/128"`).contains(`"reason":"sells watches"`)
	o.own("DELETE", "blocks", `{"range":"198.51.100.0/24"}`).hasStatus(204)
	o.do("POST", "/v1/blog/likes/a", `{"visitor":"visitor-0009"}`, "X-Forwarded-For", "198.51.100.9").hasStatus(200)
	o.own("DELETE", "blocks", `{"range":"198.51.100.0/24"}`).hasError(404, tally.CodeNotFound)
	o.own("POST", "blocks", `{"range":"0.0.0.0/0"}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{"range":"nonsense"}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{}`).hasError(400, tally.CodeBadBody)
	o.own("POST", "blocks", `{"range":"192.0.2.1","reason":"`+strings.Repeat("x", 1001)+`"}`).hasError(400, tally.CodeBadBody)
}

func TestAdminSpikes_Revert(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 3)
	o.likes("blog/likes/a", "198.51.100.9", 100, 40)
	spikes := o.own("GET", "spikes?site=blog&since=1h", "").hasStatus(200).contains(`"topic":"blog/likes/a"`)
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
	o.own("POST", "undo", body(`,"preview":true`)).hasStatus(200).contains(`"contributions":40`).contains(`"undone":false`)
	if n := o.count("blog/likes/a"); n != 43 {
		t.Errorf("a preview changed it to %v", n)
	}
	o.own("POST", "undo", body("")).hasStatus(200).contains(`"contributions":40`).contains(`"undone":true`)
	if n := o.count("blog/likes/a"); n != 3 {
		t.Errorf("%v, want 3", n)
	}
	o.own("POST", "undo", fmt.Sprintf(`{"topics":["blog/likes/a"],"from":%q,"addresses":["203.0.113.99"]}`, since)).hasStatus(200).contains(`"contributions":3`)
	for _, wrong := range []string{
		`{"from":"` + since + `"}`, `{"site":"blog"}`, `{"site":"blog","from":"yesterday"}`, `{"site":"blog","from":"` + since + `","topics":["blog/likes/a"]}`,
		`{"site":"blog","from":"` + since + `","to":"2020-01-01T00:00:00Z"}`, `{"site":"blog","from":"` + since + `","sources":["xyz"]}`,
		`{"site":"blog","from":"` + since + `","addresses":["here"]}`,
		`{"site":"blog","from":"` + since + `","addresses":[""]}`,
	} {
		o.own("POST", "undo", wrong).hasError(400, tally.CodeBadBody)
	}
	o.own("GET", "spikes?since=forever", "").hasError(400, tally.CodeBadBody)
}

func TestAdminTopics_Prune(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 1)
	hour := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q}`, hour)).hasStatus(200).contains(`{"topics":[]}`)
	processtest.Eventually(t, "a second has passed since", func() bool {
		now := time.Now().UTC().Format(time.RFC3339)
		return strings.Contains(string(o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q,"preview":true}`, now)).hasStatus(200).body), "blog/likes/a")
	})
	if o.count("blog/likes/a") != 1 {
		t.Error("a preview ended it")
	}
	o.own("POST", "prune", fmt.Sprintf(`{"site":"blog","untouched_since":%q}`, time.Now().UTC().Format(time.RFC3339))).hasStatus(200).contains("blog/likes/a")
	if o.count("blog/likes/a") != 0 {
		t.Error("still there")
	}
	o.own("POST", "prune", fmt.Sprintf(`{"untouched_since":%q}`, hour)).hasError(400, tally.CodeBadBody)
	o.own("POST", "prune", `{"site":"blog"}`).hasError(400, tally.CodeBadBody)
}

func TestAdminSeeds_Preview(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	const seeds = `"seeds":[{"topic":"blog/likes/a","seed":40},{"topic":"blog/likes/new","seed":0},{"topic":"nonsense","seed":1},{"topic":"blog/readers/a","seed":1},{"topic":"blog/likes/b","seed":-1}]`
	preview := o.own("POST", "seeds", `{`+seeds+`,"preview":true}`).hasStatus(200)
	preview.contains(`{"topic":"blog/likes/a","seed":40,"before":0,"changed":true}`).contains(`"code":"bad_topic"`).contains(`"code":"read_only_metric"`).contains(`"code":"bad_amount"`)
	if o.count("blog/likes/a") != 2 {
		t.Error("a preview changed it")
	}
	if done := o.own("POST", "seeds", `{`+seeds+`}`).hasStatus(200); string(done.body) != string(preview.body) {
		t.Errorf("the preview said %s, it was %s", preview.body, done.body)
	}
	if o.count("blog/likes/a") != 42 {
		t.Error("not seeded")
	}
	o.own("POST", "seeds", `{`+seeds+`}`).hasStatus(200).contains(`{"topic":"blog/likes/a","seed":40,"before":40,"changed":false}`)
	o.own("POST", "seeds", `{"seeds":[`+strings.Repeat(`{"topic":"x","seed":1},`, 1000)+`{"topic":"x","seed":1}]}`).hasError(400, tally.CodeTooManyTopics)
}

// An invalid change of several has its own error. The others are carried out.
func TestAdminTopics_SeveralChanges(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	const changes = `{"topics":[{"topic":"blog/likes/a","base":40},{"topic":"blog/likes/b","count":7},{"topic":"blog/likes/c"},{"topic":"blog/likes/d","seed":1,"base":1},` +
		`{"topic":"nonsense","seed":1},{"topic":"nowhere/likes/a","seed":1},{"topic":"blog/readers/a","seed":1},{"topic":"blog/likes/e","adjustment":-9007199254740993}]}`
	done := o.own("PATCH", "topics", changes).hasStatus(200)
	for _, part := range []string{`{"topic":"blog/likes/a","before":{`, `"count":42`, `"code":"unknown_site"`, `"code":"bad_topic"`, `"code":"read_only_metric"`, `"code":"bad_amount"`, `"code":"bad_body"`} {
		done.contains(part)
	}
	if a, b := o.count("blog/likes/a"), o.count("blog/likes/b"); a != 42 || b != 7 {
		t.Errorf("%v and %v", a, b)
	}
	if again := o.own("PATCH", "topics", changes).hasStatus(200); strings.Contains(string(again.body), `"changed":true`) {
		t.Errorf("a repetition: %s", again.body)
	}
	o.own("PATCH", "topics", `{"topics":[`+strings.Repeat(`{"topic":"x","seed":1},`, 1000)+`{"topic":"x","seed":1}]}`).hasError(400, tally.CodeTooManyTopics)
}

func TestAdminOverview(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 2)
	processtest.Eventually(t, "the first heartbeat", func() bool {
		return strings.Contains(string(o.own("GET", "overview", "").hasStatus(200).body), `"version":"here"`)
	})
}

func TestAdminAudit_ClientBehindProxy(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.own("PATCH", "topics/blog/likes/a", `{"count":1}`, "X-Forwarded-For", "2001:db8::1234").hasStatus(200)
	o.own("GET", "audit", "").hasStatus(200).contains(`"actor":"admin 2001:db8::1234"`)
}

func TestAdmin_BadBodies(t *testing.T) {
	o := newOwnerRig(t, nil)
	const path = "topics/blog/likes/a"
	o.own("PATCH", path, `{"count":1}`, "Content-Type", "text/plain").hasError(415, tally.CodeUnsupportedMediaType)
	o.own("PATCH", path, `count=1`, "Content-Type", "application/x-www-form-urlencoded").hasError(415, tally.CodeUnsupportedMediaType)
	for _, body := range []string{`{"count":`, `[]`, `{"count":1}{}`, `{"count":"1"}`, `{"likes":1}`, "{\"count\":1,\"\xff\":1}", `null {}`} {
		o.own("PATCH", path, body).hasError(400, tally.CodeBadBody)
	}
	for body, says := range map[string]string{
		`{"count":1.5}`: "count is number 1.5 and must be a whole number", `{"count":99999999999999999999}`: "a whole number", `"x"`: "it is string and must be an object",
		`{"count":true}`: "count is bool",
	} {
		if a := o.own("PATCH", path, body).hasError(400, tally.CodeBadBody).contains(says); strings.Contains(string(a.body), "Go ") {
			t.Errorf("%s tells of our types: %s", body, a.body)
		}
	}
	o.own("PATCH", path, `{"count":1`+strings.Repeat(" ", 4<<20)+`}`).hasError(413, tally.CodeBodyTooLarge)
	o.do("POST", "/admin/v1/session", `{"token":"`+strings.Repeat("x", 4<<10)+`"}`).hasError(413, tally.CodeBodyTooLarge)
	o.own("PUT", path, `{}`).hasError(405, tally.CodeMethodNotAllowed).hasHeader("Allow", "DELETE, GET, HEAD, PATCH")
	o.own("GET", "nothing", "").hasError(404, tally.CodeNotFound)
	o.own("DELETE", "topics/blog/likes//a", "").hasError(400, tally.CodeBadTopic)
	o.own("DELETE", "topics/blog/likes/x/../a", "").hasError(400, tally.CodeBadTopic)
	o.own("GET", "topics", "").hasStatus(200).contains(`{"topics":[],"next":""}`)
	o.own(http.MethodHead, "topics", "").hasStatus(200)
}

func TestAdmin_ExportAndImport(t *testing.T) {
	const secret = "one secret of two services"
	from, to := newOwnerRigUnder(t, secret), newOwnerRigUnder(t, secret)
	from.likes("blog/likes/a", "203.0.113.7", 0, 3)
	from.own("PATCH", "topics/blog/likes/a", `{"seed":40}`).hasStatus(200)
	from.likes("wiki/likes/b", "203.0.113.7", 0, 1)
	export := from.own("GET", "export?site=blog", "").clean().hasStatus(200).hasHeader("Content-Type", "application/jsonl").contains(`"topic":"blog/likes/a"`)
	if strings.Contains(string(export.body), secret) || strings.Contains(string(export.body), "wiki") {
		t.Errorf("%s", export.body)
	}
	for _, mode := range []string{"", "?mode=merge", "?mode=replace"} {
		to.own("POST", "import"+mode, string(export.body), "Content-Type", "application/jsonl").hasStatus(200).contains(`"topics":1,"contributions":3`)
	}
	if n := to.count("blog/likes/a"); n != 43 {
		t.Errorf("%v", n)
	}
	to.likes("blog/likes/a", "203.0.113.7", 0, 1)
	if n := to.count("blog/likes/a"); n != 43 {
		t.Errorf("who was imported counts again: %v", n)
	}
	to.own("GET", "audit", "").hasStatus(200).contains(`"action":"import"`)
	header, _, _ := strings.Cut(string(export.body), "\n")
	to.own("POST", "import", header+"\nnonsense\n", "Content-Type", "application/jsonl").hasStatus(200).contains(`"refused":1`).contains(`"line":2`)
	to.own("POST", "import", "nonsense", "Content-Type", "application/jsonl").hasError(400, tally.CodeBadBody)
	to.own("POST", "import?mode=both", header, "Content-Type", "application/jsonl").hasError(400, tally.CodeBadBody)
	to.own("POST", "import", header).hasError(415, tally.CodeUnsupportedMediaType)
	newOwnerRigUnder(t, "another secret of theirs").own("POST", "import", string(export.body), "Content-Type", "application/jsonl").hasError(400, tally.CodeBadBody).contains("secret")

	from.own("GET", "export?format=csv", "").hasStatus(200).hasHeader("Content-Type", "text/csv; charset=utf-8").contains("blog/likes/a,43\n")
	from.own("GET", "export?format=json&site=wiki", "").hasStatus(200).contains(`{"topic":"wiki/likes/b","count":1}`)
	from.own(http.MethodHead, "export", "").hasStatus(200).hasHeader("Content-Type", "application/jsonl")
	from.own("GET", "export?format=xls", "").hasError(400, tally.CodeBadBody)
	from.own("GET", "export?site=nowhere", "").hasError(404, tally.CodeUnknownSite)
}
