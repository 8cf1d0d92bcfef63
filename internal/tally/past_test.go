package tally_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/tallycast/tallycast/internal/tally"
)

const microsPerHour = int64(tally.Hour) * 1_000_000

// drawHistories draws the histories of a topic by hour and by day, as stores keep them.
func drawHistories(t *rapid.T, name string, now int64) (histories [2]tally.History) {
	draw := func(what string, least, most int64) int64 {
		return rapid.Int64Range(least, most).Draw(t, name+" "+what)
	}
	changes, prior, isComplete := draw("changes", 0, 8), int64(0), rapid.Bool().Draw(t, name+" is complete")
	if !isComplete {
		prior = draw("prior", 0, 20)
	}
	state := tally.State{Seed: draw("seed", 0, 9)}
	sum, version := prior, now-100*microsPerHour
	for i, period := range []tally.Period{tally.Hour, tally.Day} {
		histories[i] = tally.History{Period: period, Now: now, Retention: period.Max(), Prior: prior, IsComplete: isComplete}
	}
	for range changes {
		next := version + draw("pause", 1, 12*microsPerHour)
		for i := range histories {
			h := &histories[i]
			if state.Version != 0 && h.Period.Number(next) > h.Period.Number(version) {
				h.Records = append(h.Records, tally.Record{Number: h.Period.Number(version), Sum: sum, Adjustment: state.Adjustment})
			}
		}
		sum, state.Adjustment, version = sum+draw("contributions", 0, 9), state.Adjustment+draw("adjustment", 0, 5), next
		state.Version = version
	}
	if state.Version == 0 {
		state.Version = version
	}
	state.SetSum(sum)
	for i := range histories {
		histories[i].State = state
	}
	return histories
}

// The past of a merged topic is the sum of both pasts, and so is its gain, even if visitors
// contributed to both topics and count once in the sum of its contributions.
func TestMergePast_Sums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := 20_000*24*microsPerHour + rapid.Int64Range(0, 24*microsPerHour-1).Draw(t, "now")
		own, given := drawHistories(t, "own", now), drawHistories(t, "given", now)
		merged := own[0].State
		merged.Version = now
		duplicates := rapid.Int64Range(0, min(own[0].Sum(), given[0].Sum())).Draw(t, "duplicates")
		sum := own[0].Sum() + given[0].Sum() - duplicates
		merged.Count = own[0].Count + given[0].Count
		merged.Adjustment = merged.Count - merged.Seed - sum
		past := tally.MergePast(own, given, merged.Adjustment-own[0].Adjustment-given[0].Adjustment)
		for i, period := range []tally.Period{tally.Hour, tally.Day} {
			h := tally.History{State: merged, Period: period, Now: now, Retention: period.Max(), Prior: sum - past.Gain, IsComplete: past.IsComplete}
			for _, r := range past.Records(period) {
				if r.Sum += h.Prior; r.Number < period.Number(now) {
					h.Records = append(h.Records, r)
				}
			}
			first := period.Number(now)
			if len(h.Records) > 0 {
				first = h.Records[0].Number
			}
			counts := map[int64]int64{}
			for _, each := range []tally.History{own[i], given[i]} {
				points := each.Points(false, period.Max())
				known := period.Number(points[0].At.UnixMicro())
				for number := first; number < known; number++ {
					counts[number] += each.Seed + each.Prior
				}
				for n, p := range points {
					counts[known+int64(n)] += p.Count
				}
			}
			for _, p := range h.Points(false, period.Max()) {
				if number := period.Number(p.At.UnixMicro()); number >= first && p.Count != counts[number] {
					t.Fatalf("by %s %d periods ago the count is %d, want %d", period, period.Number(now)-number, p.Count, counts[number])
				}
			}
			for since := range tally.Since(tally.SinceCount) {
				if since.Period() == period && h.Gain(since) != own[i].Gain(since)+given[i].Gain(since) {
					t.Fatalf("the gain since %s is %d, want %d and %d", since, h.Gain(since), own[i].Gain(since), given[i].Gain(since))
				}
			}
		}
	})
}
