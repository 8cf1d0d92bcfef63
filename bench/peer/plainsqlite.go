package peer

import (
	"context"
	"path/filepath"
)

// PlainSQLite returns a server with one durable transaction for each like.
func PlainSQLite() *Peer {
	p := benchProgram("one transaction a like", "plainsqlite", false)
	p.Settings = "Gin in release mode, modernc.org/sqlite, WAL, synchronous=FULL, a transaction a like that remembers the visitor"
	p.Likes = true
	p.start = func(ctx context.Context, s *Server, _ Options) error {
		path, err := program("plainsqlite")
		if err != nil {
			return err
		}
		return s.run(ctx, path, "-listen", s.Address, "-file", filepath.Join(s.dir, "likes.db"))
	}
	return p
}
