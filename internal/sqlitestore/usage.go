package sqlitestore

import (
	"context"
	"database/sql"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

const (
	// Approximate numbers of bytes by which Usage divides the file: for a topic without its
	// name, for each byte of the name, which is in the table and two indexes, and for a
	// contribution.
	topicWeight, nameWeight, contributionWeight = 60, 3, 20
)

// Usage counts the rows of each site, and divides the file's size among the sites by the
// weight of their rows. It reads all contributions, and returns no earlier measurement.
func (r *Reader) Usage(ctx context.Context, _ time.Duration) (usage tally.Usage, err error) {
	began := time.Now()
	err = r.reading(ctx, "the usage", func() error {
		return snapshot(ctx, r.db, func(conn *sql.Conn) error {
			usage.Sites, err = r.usage(ctx, conn)
			return err
		})
	})
	usage.Took = time.Since(began)
	usage.Age = usage.Took
	return usage, err
}

func (r *Reader) usage(ctx context.Context, conn *sql.Conn) (usage []tally.SiteUsage, err error) {
	var used float64 // bytes of the file that are not free
	if err := conn.QueryRowContext(ctx, `SELECT (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&used); err != nil {
		return nil, err
	}
	var weights []float64
	var total float64
	err = eachRow(ctx, conn, `
		WITH
		stored AS (SELECT site, count(*) AS topics, sum(octet_length(site) + octet_length(metric) + octet_length(key)) AS names,
			sum((SELECT count(*) FROM contributions WHERE topic = id)) AS contributions FROM topics GROUP BY site),
		windows AS (SELECT site, count(*) AS seen FROM seen JOIN topics ON id = topic GROUP BY site)
		SELECT site, topics, names, contributions + coalesce(seen, 0) FROM stored LEFT JOIN windows USING (site) ORDER BY site`, nil, func(rows *sql.Rows) error {
		var u tally.SiteUsage
		var names int64
		err := rows.Scan(&u.Site, &u.Topics, &names, &u.Contributions)
		weight := float64(topicWeight*u.Topics + nameWeight*names + contributionWeight*u.Contributions)
		usage, weights, total = append(usage, u), append(weights, weight), total+weight
		return err
	})
	for i, weight := range weights {
		usage[i].Bytes = int64(used * weight / total)
	}
	return usage, err
}
