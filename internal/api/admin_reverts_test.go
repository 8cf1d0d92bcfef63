package api

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestAdminReverts(t *testing.T) {
	o := newOwnerRig(t, nil)
	o.likes("blog/likes/a", "203.0.113.7", 0, 3)
	since := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	o.own("POST", "undo", `{"topics":["blog/likes/a"],"from":"`+since+`"}`).hasStatus(200)
	o.own("GET", "reverts?topic=blog/likes/a&since="+since, "").hasStatus(200).contains(`"from":"` + since + `"`).contains(`"detail":"3 contributions to 1 topic reverted"`)
	o.own("GET", "reverts?topic=blog/likes/b&since="+since, "").hasStatus(200).contains(`{"reverts":[]}`)
	o.own("GET", "reverts?topic=blog/likes/a", "").hasError(400, tally.CodeBadBody)
	o.own("GET", "reverts?since="+since, "").hasError(400, tally.CodeBadTopic)
}
