package redisstore

import (
	"context"
	"errors"

	"github.com/tallycast/tallycast/internal/tally"
)

var errNotYet = tally.Unavailable(errors.New("not made yet"))

func (s *Store) Edit(_ context.Context, edits []tally.Edit) {
	for i := range edits {
		edits[i].Err = errNotYet
	}
}
func (s *Store) Dump(context.Context, tally.Scope, func(tally.Portion) error) error { return errNotYet }
func (s *Store) Restore(context.Context, bool, []tally.Portion) error               { return errNotYet }
func (s *Store) List(context.Context, tally.Listing) (tally.Page, error) {
	return tally.Page{}, errNotYet
}
func (s *Store) Journal(context.Context, tally.Scope, int64, int64, func([]tally.Trace) error) error {
	return errNotYet
}
func (s *Store) TakeBack(context.Context, []tally.Trace) ([]tally.Change, error) {
	return nil, errNotYet
}
func (s *Store) Usage(context.Context) ([]tally.SiteUsage, error) { return nil, errNotYet }
