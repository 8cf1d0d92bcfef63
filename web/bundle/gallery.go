package bundle

import "html/template"

// element is one section of the gallery.
type element struct {
	Name        string // without tally-
	Title       string
	Description string
	// Embed is the HTML that the gallery prints and shows.
	Embed      template.HTML
	Variants   []variant
	Attributes []attribute
}

// variant is another use of an element.
type variant struct {
	Title string
	Embed template.HTML
}

type attribute struct{ Name, Meaning string }

// commonAttributes are the attributes of all elements.
var commonAttributes = []attribute{
	{"page", "The page to count: its path, or a URL of this site. The home page is / or index. Without it: the canonical link, or else the page’s own address."},
	{"site", "The site, if the script’s address (?site=blog) does not name it."},
	{"metric", "What to count, if not the element’s usual metric."},
	{"count", "The number in your HTML. It shows until the service sends one."},
	{"live", "off: the number changes only when the visitor presses."},
	{"label", "The name of the button, row or list, in your language."},
}

// elements are the gallery's sections, in their order.
var elements = []element{
	{
		Name: "like", Title: "Like", Description: "A heart and its number. A press shows at once here, and a moment later on every other screen. Offline, the press is kept and sent later.",
		Embed: `<tally-like page="gallery"></tally-like>`,
		Variants: []variant{
			{"Large, with font-size", `<tally-like page="gallery" class="big"></tally-like>`},
			{"From 10,000 on the number is short; hover or focus shows all of it", `<tally-like page="gallery/large" count="123456" live="off"></tally-like>`},
			{"Your own icon and name", `<tally-like page="gallery/star" label="Star"><svg slot="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8"><path d="m12 3 2.7 5.6 6.2.8-4.5 4.3 1.1 6.1-5.5-3-5.5 3 1.1-6.1L3.1 9.4l6.2-.8z"/></svg></tally-like>`},
			{"Not a valid page: your own text stays", `<tally-like page="no//page">Liked by readers</tally-like>`},
		},
		Attributes: []attribute{{"kept", "The message while a press waits for a connection."}, {"refused", "The message when a press is taken back."}},
	},
	{
		Name: "claps", Title: "Claps", Description: "Press for one, hold for more, up to fifty. All claps are sent in one request after a pause.",
		Embed:      `<tally-claps page="gallery"></tally-claps>`,
		Attributes: []attribute{{"max", "The most that one visitor can give: 50, or what the metric’s rule allows."}},
	},
	{
		Name: "reactions", Title: "Reactions", Description: "A row of emoji. Each is a metric with its own number, so you can add, remove or reorder them without losing a count.",
		Embed:      `<tally-reactions page="gallery"></tally-reactions>`,
		Variants:   []variant{{"Your own choice, labels and emoji", `<tally-reactions page="gallery" reactions="heart=Love it, wow=Did not know that, rocket"><b slot="rocket">↗</b></tally-reactions>`}},
		Attributes: []attribute{{"reactions", "The metrics, separated by commas, each with an optional label: heart=Love it, party."}, {"count", "Numbers by metric: heart=3,party=1."}},
	},
	{
		Name: "count", Title: "Count", Description: "The number of any topic, inside your text and in its language.",
		Embed:    `<p>Pressed so far: <tally-count page="gallery"></tally-count></p>`,
		Variants: []variant{{"In German", `<p lang="de">Schon <tally-count page="gallery/german" count="1234" live="off"></tally-count> Mal.</p>`}, {"Right to left", `<p lang="ar" dir="rtl">عدد الإعجابات <tally-count page="gallery"></tally-count></p>`}},
	},
	{
		Name: "visitors", Title: "Visitors", Description: "Counts each visitor once a day and stores nothing in the browser. With consent it counts each visitor once for good. Browsers that ask not to be tracked are not counted.",
		Embed:      `<p>Visitors so far: <tally-visitors local></tally-visitors></p>`,
		Variants:   []variant{{"Views of this page", `<p>Views: <tally-visitors metric="views" scope="page" local></tally-visitors></p>`}},
		Attributes: []attribute{{"scope", "page: count this page, not the whole site."}, {"consent", "The visitor agreed to a stored id."}, {"local", "Count on localhost and in tests, too."}},
	},
	{
		Name: "readers", Title: "Readers", Description: "How many people have the site open right now. Open this page again and watch the number.",
		Embed:      `<p>Here now: <tally-readers local></tally-readers></p>`,
		Attributes: []attribute{{"scope", "page: count this page, not the whole site."}, {"local", "Count on localhost and in tests, too."}},
	},
	{
		Name: "top", Title: "Most liked", Description: "A list of your most liked pages. The numbers are live; the order changes every 15 seconds, but never under your pointer.",
		Embed:      `<tally-top limit="5"><a href="./" data-page="hello">How a number travels</a></tally-top>`,
		Attributes: []attribute{{"limit", "The number of rows: 10, at most 100."}, {"href", "Where a row links to: /{key}, with {key} for the page’s key. A link inside the element, found by its path or data-page, gives its row a title and an address."}},
	},
}
