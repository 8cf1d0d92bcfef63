package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// Digest is what two stores must have in common of a topic. Who contributed to a window
// metric is left out: it ends by itself.
type Digest struct {
	Count, Seed, Adjustment, Counted int64
	Version                          int64 // not compared: it is the store's own
	Contributions                    int64
	Sum                              uint64 // of a mix of each contribution, whatever their order
}

// Digests reads all of scope. Its memory grows with the number of topics, by some 200
// bytes each, and not with contributions.
func Digests(ctx context.Context, source Source, catalog *tally.Catalog, scope tally.Scope, progress func(Progress)) (map[tally.Topic]Digest, error) {
	gathered := digester{catalog: catalog, digests: map[tally.Topic]Digest{}}
	var done Progress
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		gathered.add(p)
		if p.Last {
			done.Topics++
		}
		done.Contributions += int64(len(p.Contributions))
		if progress != nil {
			progress(done)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is to be compared: %w", err)
	}
	return gathered.digests, nil
}

// digester makes digests of portions.
type digester struct {
	catalog *tally.Catalog
	digests map[tally.Topic]Digest
}

func (g digester) add(p tally.Portion) {
	d := g.digests[p.Topic]
	if p.First {
		d = Digest{}
	}
	if g.catalog.Rule(p.Topic).Kind != tally.Window {
		d.Contributions += int64(len(p.Contributions))
		for _, c := range p.Contributions {
			d.Sum += mix(uint64(c.Member) + mix(uint64(c.Amount)))
		}
	}
	d.Count, d.Seed, d.Adjustment, d.Version = p.Count, p.Seed, p.Adjustment, p.Version
	if p.Last {
		d.Counted = p.Sum
	}
	g.digests[p.Topic] = d
}

// mix spreads the bits of x over 64 (the finalizer of SplitMix64; Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Difference is a topic of which two stores hold not the same.
type Difference struct {
	Topic  tally.Topic
	Detail string
	// TargetHasMore says that there may be nothing missing: the second store holds no less of
	// anything, as one does that held something before.
	TargetHasMore bool
}

// Compare returns the topics of which b holds not what a does, sorted. What b has
// alone is no difference.
func Compare(a, b map[tally.Topic]Digest) (differences []Difference) {
	for topic, one := range a {
		other, ok := b[topic]
		if !ok {
			differences = append(differences, Difference{Topic: topic, Detail: fmt.Sprintf("is missing, with count %d", one.Count)})
			continue
		}
		for _, each := range []struct {
			name string
			a, b int64
		}{
			{"seed", one.Seed, other.Seed},
			{"adjustment", one.Adjustment, other.Adjustment},
			{"contributions", one.Contributions, other.Contributions},
			{"what they add", one.Counted, other.Counted},
			{"count", one.Count, other.Count},
			{"who contributed", 0, int64(min(1, one.Sum^other.Sum))},
		} {
			if each.a == each.b {
				continue
			}
			what := fmt.Sprintf("%s: %d here, %d there", each.name, each.a, each.b)
			if each.name == "who contributed" {
				what = "others contributed"
			}
			differences = append(differences, Difference{Topic: topic, Detail: what, TargetHasMore: hasMore(one, other)})
			break
		}
	}
	slices.SortFunc(differences, func(x, y Difference) int { return cmp.Compare(x.Topic.String(), y.Topic.String()) })
	return differences
}

// hasMore tells whether b, which differs from a, has more of something and less of
// nothing that can be told.
func hasMore(a, b Digest) bool {
	return b.Seed >= a.Seed && b.Adjustment >= a.Adjustment && b.Contributions >= a.Contributions && b.Counted >= a.Counted &&
		(b.Seed > a.Seed || b.Adjustment > a.Adjustment || b.Contributions > a.Contributions || b.Counted > a.Counted)
}
