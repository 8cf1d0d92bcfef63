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
	{"metric", "What to count, such as claps or views, if not what the element usually counts."},
	{"count", "The number in your HTML. It shows until the service sends one."},
	{"live", "off: the number changes only when the visitor presses."},
	{"label", "The name of the button, row or list, or the question of a poll, in your language."},
}

// elements are the gallery's sections, in their order.
var elements = []element{
	{
		Name: "like", Title: "Like", Description: "A heart and its number. A press shows at once here, and a moment later on every other screen. Without a network, or while the service cannot count, the browser keeps the press and sends it later.",
		Embed: `<tally-like page="gallery"></tally-like>`,
		Variants: []variant{
			{"Large, with font-size", `<tally-like page="gallery" class="big"></tally-like>`},
			{"From 10,000 on the number is short; hover or focus shows all of it", `<tally-like page="gallery/large" count="123456" live="off"></tally-like>`},
			{"Your own icon and name", `<tally-like page="gallery/star" label="Star"><svg slot="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.8"><path d="m12 3 2.7 5.6 6.2.8-4.5 4.3 1.1 6.1-5.5-3-5.5 3 1.1-6.1L3.1 9.4l6.2-.8z"/></svg></tally-like>`},
			{"The page is not valid: the text inside the element shows", `<tally-like page="no//page">Liked by readers</tally-like>`},
		},
		Attributes: []attribute{{"kept", "The message while a press waits for a connection, or for the store."}, {"refused", "The message when the service refuses a press."}},
	},
	{
		Name: "claps", Title: "Claps", Description: "Press for one, hold for more, up to fifty. After a pause all claps are sent together.",
		Embed:      `<tally-claps page="gallery"></tally-claps>`,
		Attributes: []attribute{{"max", "The most that one visitor can give: 50."}},
	},
	{
		Name: "reactions", Title: "Reactions", Description: "A row of emoji, each with its own number. Add, remove and reorder them at any time: no number is lost.",
		Embed:      `<tally-reactions page="gallery"></tally-reactions>`,
		Variants:   []variant{{"Your own choice, labels and emoji", `<tally-reactions page="gallery" reactions="heart=Love it, wow=Did not know that, rocket"><b slot="rocket">↗</b></tally-reactions>`}},
		Attributes: []attribute{{"reactions", "The names of the emoji, separated by commas, each with an optional label: heart=Love it, party."}, {"count", "The numbers in your HTML: heart=3,party=1."}},
	},
	{
		Name: "poll", Title: "Poll", Description: "A question with one answer for each visitor, who can change it or take it back. The bars grow while others vote.",
		Embed: `<tally-poll page="gallery" label="What do you have for lunch?" options="Pizza,Sushi,Salad,Nothing yet"></tally-poll>`,
		Variants: []variant{
			{"Results only after a choice", `<tally-poll page="gallery/after" results="after" label="Tabs or spaces?" options="Tabs,Spaces"></tally-poll>`},
			{"Closed: results only", `<tally-poll page="gallery/after" closed label="Tabs or spaces?" options="Tabs,Spaces"></tally-poll>`},
			{"Right to left, in its language", `<tally-poll page="gallery/rtl" live="off" count="31,12" lang="ar" dir="rtl" label="قهوة أم شاي؟" options="قهوة,شاي" total="الأصوات" withdraw="إلغاء صوتي"></tally-poll>`},
			{"The page is not valid: the text inside the element shows", `<tally-poll page="no//page">The poll is over.</tally-poll>`},
		},
		Attributes: []attribute{{"label", "The question."}, {"options", "The answers, separated by commas: up to ten, or twenty if you start the service with --metric poll=choice:20. Add new ones at the end: votes belong to the position."}, {"results", "after: numbers only after the visitor chose."}, {"closed", "Results only. Programs can still vote. When the poll is over, write its numbers into count, and set live to off."}, {"count", "The numbers in your HTML, one for each option: 3,0,5."}, {"send, withdraw, total", "The texts Vote, Remove my vote and Votes, in your language."}},
	},
	{
		Name: "rating", Title: "Rating", Description: "One to five stars. The filled stars show the average, in halves; a line marks the visitor’s own rating.",
		Embed: `<tally-rating page="gallery"></tally-rating>`,
		Variants: []variant{
			{"Closed", `<tally-rating page="gallery" closed></tally-rating>`},
			{"In German", `<p lang="de"><tally-rating page="gallery" label="Bewertung" options="1 Stern,2 Sterne,3 Sterne,4 Sterne,5 Sterne" total="Stimmen" withdraw="Zurücknehmen"></tally-rating></p>`},
		},
		Attributes: []attribute{{"options", "The names of the stars for screen readers: 1 star,2 stars,…"}, {"closed", "The average only."}, {"send, withdraw, total", "The texts Vote, Remove my vote and Votes, in your language."}},
	},
	{
		Name: "vote", Title: "Vote", Description: "Up and down, and the difference. Pressing again takes the vote back.",
		Embed: `<tally-vote page="gallery"></tally-vote>`,
		Variants: []variant{
			{"Both numbers, for “was this helpful?”", `<p>Was this helpful? <tally-vote page="gallery/helpful" show="both" options="Helpful,Not helpful"></tally-vote></p>`},
			{"Closed", `<tally-vote page="gallery" closed></tally-vote>`},
		},
		Attributes: []attribute{{"show", "both: a number on each button, no difference."}, {"options", "The names of the two buttons: Helpful,Not helpful."}, {"closed", "The buttons cannot be pressed."}},
	},
	{
		Name: "count", Title: "Count", Description: "A number inside your text, in the language of the text: likes, or with metric any other number.",
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
		Variants:   []variant{{"Rising: the pages that gained most in 7 days", `<tally-top since="7d" limit="3" label="Rising this week" empty="No likes this week"></tally-top>`}},
		Attributes: []attribute{{"limit", "The number of rows: 10, at most 100."}, {"since", "24h, 7d or 30d: the pages that gained most in this time, each with its gain."}, {"empty", "The text of a list without rows, if the element has no children."}, {"href", "Where a row links to: /{key}, with {key} for the page’s key. A link inside the element, found by its path or data-page, gives its row a title and an address."}},
	},
	{
		Name: "trend", Title: "Trend", Description: "The count of the last days as a line. Its end is live. Hover or focus it for its numbers.",
		Embed: `<tally-trend page="gallery" label="Likes of the gallery"></tally-trend>`,
		Variants: []variant{
			{"A week, by the hour, with its own size and colour", `<tally-trend page="gallery" days="7" label="Likes in a week" class="wide"></tally-trend>`},
			{"Readers: the most at once, each day", `<p>Readers: <tally-trend metric="readers" page="site" label="Readers"></tally-trend></p>`},
			{"Right to left", `<p lang="ar" dir="rtl">الإعجابات <tally-trend page="gallery" label="الإعجابات"></tally-trend></p>`},
			{"The page is not valid: the text inside the element shows", `<tally-trend page="no//page">No numbers yet.</tally-trend>`},
		},
		Attributes: []attribute{{"days", "How many days the line has: 30, at most 400. Up to 8 days are by the hour."}, {"label", "The name of the line for screen readers, in your language."}},
	},
}
