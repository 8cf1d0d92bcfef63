package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/tallycast/tallycast/bench/measure"
)

// Size of a plot: the width of a page.
const (
	plotWidth  = 8 * vg.Inch
	plotHeight = 4 * vg.Inch
)

var (
	ours   = color.RGBA{R: 0xd6, G: 0x33, B: 0x6c, A: 0xff}
	others = color.RGBA{R: 0x74, G: 0x8f, B: 0xfc, A: 0xff}
	// palette can be distinguished by the colour-blind (Okabe and Ito, 2008).
	palette = []color.Color{
		color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}, color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
		color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}, color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
		color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}, color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
	}
)

// Bar is one bar of a plot: a median with minimum and maximum.
type Bar struct {
	Name string
	measure.Summary
	// Ours marks tallycast.
	Ours bool
}

// Bars plots bars.
func (c *Case) Bars(unit string, bars []Bar) {
	if len(bars) == 0 {
		return // nothing was measured
	}
	c.plot = func(path string) error {
		p := plot.New()
		p.Title.Text, p.Y.Label.Text, p.Y.Min = c.Title, unit, 0
		names := make([]string, len(bars))
		spread := spans{XYs: make(plotter.XYs, len(bars)), YErrors: make(plotter.YErrors, len(bars))}
		width := 0.6 * plotWidth / vg.Length(len(bars)+1)
		for i, bar := range bars {
			one, err := plotter.NewBarChart(plotter.Values{bar.Median}, width)
			if err != nil {
				return err
			}
			one.XMin, one.LineStyle.Width, one.Color = float64(i), 0, others
			if bar.Ours {
				one.Color = ours
			}
			p.Add(one)
			names[i] = bar.Name
			spread.XYs[i] = plotter.XY{X: float64(i), Y: bar.Median}
			spread.YErrors[i].Low, spread.YErrors[i].High = bar.Median-bar.Min, bar.Max-bar.Median
		}
		whiskers, err := plotter.NewYErrorBars(spread)
		if err != nil {
			return err
		}
		p.Add(whiskers)
		p.NominalX(names...)
		p.X.Min, p.X.Max = -0.5, float64(len(bars))-0.5 // room for the outer bars
		if len(bars) > 5 {
			p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = 0.5, -1, -0.5 // radians; the text ends at the tick
		}
		return p.Save(plotWidth, plotHeight, path)
	}
}

type spans struct {
	plotter.XYs
	plotter.YErrors
}

// Line is one line of a plot.
type Line struct {
	Name string
	X, Y []float64
}

// Lines plots lines over a logarithmic x axis.
func (c *Case) Lines(x, y string, lines []Line) {
	if len(lines) == 0 {
		return // nothing was measured
	}
	c.plot = func(path string) error {
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Label.Text, p.Y.Min = c.Title, x, y, 0
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		p.Legend.Top = true
		p.Add(plotter.NewGrid())
		for i, l := range lines {
			points := make(plotter.XYs, len(l.X))
			for k := range l.X {
				points[k] = plotter.XY{X: l.X[k], Y: l.Y[k]}
			}
			line, dots, err := plotter.NewLinePoints(points)
			if err != nil {
				return err
			}
			line.Color, dots.Color = palette[i%len(palette)], palette[i%len(palette)]
			p.Add(line, dots)
			p.Legend.Add(l.Name, line, dots)
		}
		return p.Save(plotWidth, plotHeight, path)
	}
}
