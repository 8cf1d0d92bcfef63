// Command plainsqlite stores likes in SQLite: Gin, database/sql, one durable transaction for
// each like. It remembers each visitor and has the settings of tallycast's store: a
// write-ahead log, FULL synchronisation, one connection.
package main

import (
	"database/sql"
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
	_ "modernc.org/sqlite"

	"github.com/tallycast/tallycast/bench/peer/wire"
)

const schema = `
CREATE TABLE IF NOT EXISTS likes (topic TEXT, visitor TEXT, PRIMARY KEY (topic, visitor)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (topic TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;`

func main() {
	flags := wire.ParseFlags()
	db, err := sql.Open("sqlite", "file:"+flags.File+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema); err != nil {
		log.Fatal(err)
	}
	statements := map[string]*sql.Stmt{}
	for name, text := range map[string]string{
		"like":  `INSERT INTO likes VALUES (?, ?) ON CONFLICT DO NOTHING`,
		"count": `INSERT INTO counts VALUES (?1, ?2) ON CONFLICT DO UPDATE SET count = count + ?2 RETURNING count`,
	} {
		if statements[name], err = db.Prepare(text); err != nil {
			log.Fatal(err)
		}
	}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/v1/:site/:metric/:key", func(c *gin.Context) {
		topic := c.Param("site") + "/" + c.Param("metric") + "/" + c.Param("key")
		var body struct{ Visitor string }
		if err := c.ShouldBindJSON(&body); err != nil {
			c.String(http.StatusBadRequest, err.Error())
			return
		}
		count, err := like(c, db, statements, topic, body.Visitor)
		if err != nil {
			c.String(http.StatusServiceUnavailable, err.Error())
			return
		}
		c.JSON(http.StatusOK, gin.H{"topic": topic, "count": count})
	})
	wire.Serve(flags.Listen, router)
}

func like(c *gin.Context, db *sql.DB, statements map[string]*sql.Stmt, topic, visitor string) (count int64, err error) {
	tx, err := db.BeginTx(c, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // no effect after the commit
	inserted, err := tx.StmtContext(c, statements["like"]).ExecContext(c, topic, visitor)
	if err != nil {
		return 0, err
	}
	n, err := inserted.RowsAffected()
	if err != nil {
		return 0, err
	}
	if err := tx.StmtContext(c, statements["count"]).QueryRowContext(c, topic, n).Scan(&count); err != nil {
		return 0, err
	}
	return count, tx.Commit()
}
