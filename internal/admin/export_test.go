package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/tallycast/tallycast/internal/tally"
)

// An export that fails after it began ends the connection, so that it does not look complete.
func TestExport_FailsMidway(t *testing.T) {
	server := serve(t, func(s *hookedStore) {
		s.dump = func(each func(tally.Portion) error) error {
			for i := range 5000 { // more than one write
				topic, err := tally.NewTopic("blog", "likes", fmt.Sprint("post-", i))
				if err != nil {
					return err
				}
				p := tally.Portion{State: tally.State{Change: tally.Change{Topic: topic, Version: 1}}, First: true, Last: true}
				if err := each(p); err != nil {
					return err
				}
			}
			return tally.Unavailable(errors.New("test fault"))
		}
	})
	request, err := http.NewRequestWithContext(context.Background(), "GET", server.URL+"/admin/v1/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil {
		t.Errorf("a response of %d bytes looks complete", len(text))
	}
}

func TestExport_StoreAway(t *testing.T) {
	server := serve(t, func(s *hookedStore) {
		s.dump = func(func(tally.Portion) error) error { return tally.Unavailable(errors.New("test fault")) }
	})
	if status, text, err := call(t.Context(), t, server, "GET", "export", ""); status != 503 {
		t.Errorf("%d %s %v", status, text, err)
	}
}
