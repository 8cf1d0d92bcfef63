package measure

import (
	"math"
	"slices"
)

// Summary summarises the values of one figure over several runs.
type Summary struct {
	Min, Median, Max float64
	Runs             int
}

// Summarise returns the summary of values, NaN if there are none.
func Summarise(values []float64) Summary {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return Summary{Min: math.NaN(), Median: math.NaN(), Max: math.NaN()}
	}
	return Summary{Min: sorted[0], Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Max: sorted[n-1], Runs: n}
}
