package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tallycast/tallycast/internal/tally"
)

// digest is a summary of a topic by which two stores are compared. It omits the contributions to a window
// metric, which expire.
type digest struct {
	Count, Seed, Adjustment, Counted int64
	// Of a choice metric, for each option; else empty.
	Options, SeedOptions, AdjustmentOptions tally.Options

	Version       int64 // each store has its own: [compareDigests] ignores it
	Contributions int64
	Sum           uint64 // of a hash of each contribution, in any order
}

// readDigests reads the topics of scope. Each topic takes about 200 bytes of memory, regardless
// of its contributions.
func readDigests(ctx context.Context, source Source, catalog *tally.Catalog, scope tally.Scope, progress func(Totals)) (map[tally.Topic]digest, error) {
	digester := digester{catalog: catalog, digests: map[tally.Topic]digest{}}
	var done Totals
	err := source.Dump(ctx, scope, func(p tally.Portion) error {
		digester.add(p)
		done.add(p)
		progress(done)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the topics to be compared: %w", err)
	}
	return digester.digests, nil
}

// digester computes digests from portions.
type digester struct {
	catalog *tally.Catalog
	digests map[tally.Topic]digest
}

func (g digester) add(p tally.Portion) {
	d := g.digests[p.Topic]
	if p.First {
		d = digest{}
	}
	if g.catalog.Rule(p.Topic).Kind != tally.Window {
		d.Contributions += int64(len(p.Contributions))
		for _, c := range p.Contributions {
			d.Sum += mix(uint64(c.Member) + mix(uint64(c.Amount)))
		}
	}
	d.Count, d.Seed, d.Adjustment, d.Version = p.Count, p.Seed, p.Adjustment, p.Version
	d.Options, d.SeedOptions, d.AdjustmentOptions = p.Options, p.SeedOptions, p.AdjustmentOptions
	if p.Last {
		d.Counted = p.Sum
	}
	g.digests[p.Topic] = d
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Difference is a topic that is missing in the target, or has another state there.
type Difference struct {
	Topic  tally.Topic
	Detail string // the first number that differs
	// TargetHasMore reports whether the target has at least as much of each number, and more of one, as
	// it has if it had contributions before.
	TargetHasMore bool
}

// compareDigests returns the topics of the source that are missing or different in the target, sorted. It
// ignores topics that only the target has.
func compareDigests(sources, targets map[tally.Topic]digest) (differences []Difference) {
	for topic, source := range sources {
		target, ok := targets[topic]
		detail := fmt.Sprintf("is missing, with count %d", source.Count)
		if ok {
			detail = source.difference(target)
		}
		if detail != "" {
			differences = append(differences, Difference{Topic: topic, Detail: detail, TargetHasMore: ok && source.isWithin(target)})
		}
	}
	slices.SortFunc(differences, func(x, y Difference) int { return cmp.Compare(x.Topic.String(), y.Topic.String()) })
	return differences
}

// difference describes the first number that differs; empty if all are equal.
func (d digest) difference(other digest) string {
	for _, number := range []struct {
		name         string
		here, target int64
	}{
		{"seed", d.Seed, other.Seed},
		{"adjustment", d.Adjustment, other.Adjustment},
		{"number of contributions", d.Contributions, other.Contributions},
		{"sum of contributions", d.Counted, other.Counted},
		{"count", d.Count, other.Count},
	} {
		if number.here != number.target {
			return fmt.Sprintf("%s: %d in the source, %d in the target", number.name, number.here, number.target)
		}
	}
	for _, list := range []struct {
		name         string
		here, target tally.Options
	}{
		{"seeds", d.SeedOptions, other.SeedOptions},
		{"adjustments", d.AdjustmentOptions, other.AdjustmentOptions},
		{"counts", d.Options, other.Options},
	} {
		if list.here != list.target {
			return fmt.Sprintf("%s of the options: %s in the source, %s in the target", list.name, list.here, list.target)
		}
	}
	if d.Sum != other.Sum {
		return "other visitors contributed"
	}
	return ""
}

// isWithin reports whether other has at least as much of each number as d, and more of one.
func (d digest) isWithin(other digest) bool {
	return other.Seed >= d.Seed && other.Adjustment >= d.Adjustment && other.Contributions >= d.Contributions && other.Counted >= d.Counted &&
		(other.Seed > d.Seed || other.Adjustment > d.Adjustment || other.Contributions > d.Contributions || other.Counted > d.Counted)
}
