package bundle

import "html/template"

// exhibit is one element of the gallery.
type exhibit struct {
	Name  string // of the element, without tally-
	Title string
	Says  string // what it does, in a sentence or two
	// Embed is what a page writes, and what the gallery shows at work.
	Embed template.HTML
	// States are further ways in which the element is met.
	States     []state
	Attributes []attribute
}

type state struct {
	Title string
	Embed template.HTML
}

type attribute struct{ Name, Meaning string }

// everywhere are the attributes that all elements have.
var everywhere = []attribute{
	{"page", "The page that is counted: its path, or a URL of this site; the home page is / or index. Without it: the canonical link’s path and sorted query, else the address’s path."},
	{"site", "The site, where the script’s own address (?site=blog) does not say it."},
	{"metric", "What is counted, where it is not the element’s usual metric."},
	{"count", "The number that the page was rendered with; it shows at once and holds until the service knows better."},
	{"live", "off: the number stays as it is until the visitor presses."},
	{"label", "The name of the button, row or list, in your language."},
}

// exhibits are the gallery's rooms, in the order of a visit.
var exhibits = []exhibit{
	{
		Name: "like", Title: "A heart", Says: "Red in the frame of the press, right on every other screen a moment later. Offline, the press waits and leaves with the first packet that gets through.",
		Embed: `<tally-like page="gallery"></tally-like>`,
		States: []state{
			{"Large, by font-size", `<tally-like page="gallery" class="big"></tally-like>`},
			{"From ten thousand on, the exact number on hover and focus", `<tally-like page="gallery/large" count="123456" live="off"></tally-like>`},
			{"An icon and a name of your own", `<tally-like page="gallery/star" label="Star"><svg slot="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8"><path d="m12 3 2.7 5.6 6.2.8-4.5 4.3 1.1 6.1-5.5-3-5.5 3 1.1-6.1L3.1 9.4l6.2-.8z"/></svg></tally-like>`},
			{"No valid page: your own text stays", `<tally-like page="no//page">Liked by readers</tally-like>`},
		},
		Attributes: []attribute{{"kept", "What is said while a press waits for a connection."}, {"refused", "What is said instead of the service’s reason when a press is taken back."}},
	},
	{
		Name: "claps", Title: "Applause", Says: "Press for one, hold for more, up to fifty. What was clapped is sent in one request, after the pause.",
		Embed:      `<tally-claps page="gallery"></tally-claps>`,
		Attributes: []attribute{{"max", "The most that one visitor gives: what the metric’s rule allows, 50 as it comes."}},
	},
	{
		Name: "reactions", Title: "Reactions", Says: "A row of emoji, each a metric that the site declares and names, never a position in a list. Add, drop or reorder them without losing a count.",
		Embed:      `<tally-reactions page="gallery"></tally-reactions>`,
		States:     []state{{"Chosen, renamed, and with a glyph of your own", `<tally-reactions page="gallery" reactions="heart=Love it, wow=Did not know that, rocket"><b slot="rocket">↗</b></tally-reactions>`}},
		Attributes: []attribute{{"reactions", "Metrics by name, separated by commas, each with its label where you give one: heart=Love it, party."}, {"count", "Numbers by name: heart=3,party=1."}},
	},
	{
		Name: "count", Title: "A number", Says: "Any topic’s number, inline, in the language of the text around it.",
		Embed:  `<p>Pressed so far: <tally-count page="gallery"></tally-count></p>`,
		States: []state{{"In German", `<p lang="de">Schon <tally-count page="gallery/german" count="1234" live="off"></tally-count> Mal.</p>`}, {"Right to left", `<p lang="ar" dir="rtl">عدد الإعجابات <tally-count page="gallery"></tally-count></p>`}},
	},
	{
		Name: "visitors", Title: "Visitors", Says: "Counts this visitor once and shows how many there were. Nothing is stored in the browser: the service tells visitors apart for a day, unless there is consent. Who asks not to be tracked is not counted.",
		Embed:      `<p>Visitors so far: <tally-visitors local></tally-visitors></p>`,
		States:     []state{{"Views of this page alone", `<p>Views: <tally-visitors metric="views" scope="page" local></tally-visitors></p>`}},
		Attributes: []attribute{{"scope", "page: this page’s visitors rather than the site’s."}, {"consent", "The visitor agreed to be recognised: one entry is kept, and it counts once for good."}, {"local", "Count on localhost and in tests, too."}},
	},
	{
		Name: "readers", Title: "Readers", Says: "How many pages are open and looked at right now. This one is among them; open another and see.",
		Embed:      `<p>Here now: <tally-readers local></tally-readers></p>`,
		Attributes: []attribute{{"scope", "page: this page’s readers rather than the site’s."}, {"local", "Count on localhost and in tests, too."}},
	},
	{
		Name: "top", Title: "The most liked", Says: "The order is asked for every fifteen seconds, the numbers are live. Rows glide to their new places, and never under your pointer.",
		Embed:      `<tally-top limit="5"><a href="./" data-page="hello">How a number travels</a></tally-top>`,
		Attributes: []attribute{{"limit", "How many rows: 10, at most 100."}, {"href", "Where a row leads, with {key} for the topic’s key: /{key}. A link among the element’s own children, by its path or data-page, gives its row a title and an address."}},
	},
}
