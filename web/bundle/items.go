package bundle

// item is one entry of the demo's list.
type item struct {
	Slug  string
	Title string
	Note  string
}

// itemTopics is the common prefix of the items' topics.
const itemTopics = "default/likes/pleasures/"

// Topic returns the topic of the item's heart.
func (i item) Topic() string { return itemTopics + i.Slug }

// Page returns the key of the item's heart.
func (i item) Page() string { return "pleasures/" + i.Slug }

// items are the entries of the demo's list.
var items = []item{
	{"first-coffee", "The first coffee", "Before anyone has asked you anything."},
	{"cold-pillow", "The cold side of the pillow", "Two in the morning, late July."},
	{"fresh-sheets", "Fresh sheets", "Dried outside, if there was wind."},
	{"green-wave", "A wave of green lights", "Seven in a row, all the way to the river."},
	{"last-page", "The last page of a long book", "And the minute of silence after it."},
	{"bakery-air", "Air in front of a bakery", "Six o'clock, shutters half up."},
	{"found-money", "Money in a winter coat", "A gift from last year's you."},
	{"rain-on-tent", "Rain on a tent", "Provided that it holds."},
	{"dog-greeting", "A dog that has missed you", "For all of twenty minutes."},
	{"peeled-orange", "An orange peeled in one piece", "No audience. Still counts."},
	{"window-seat", "A window seat by luck", "And nobody in the middle."},
	{"swim-before-work", "A swim before work", "Wet hair in the first meeting."},
	{"old-friend-call", "A call from an old friend", "Picked up where you left off, in 2014."},
	{"sun-through-blinds", "Sun through the blinds", "Slowly crossing the desk."},
	{"new-notebook", "A new notebook", "The good pen, the first line."},
	{"deleted-code", "Deleting a thousand lines", "And every test still passes."},
	{"tomato-salt", "A warm tomato, with salt", "Eaten over the sink."},
	{"train-arrives", "The train that arrives with you", "Doors open, you never broke stride."},
	{"sharp-knife", "A knife, freshly sharpened", "Onions fall apart politely."},
	{"snow-silence", "The quiet after snow", "You notice the city hums by missing it."},
	{"inside-joke", "An inside joke, still alive", "One word is enough."},
	{"perfect-avocado", "The avocado, in time", "A window of eleven minutes. You made it."},
	{"sleeping-in", "No alarm tomorrow", "Remembered while brushing your teeth."},
	{"bare-feet-grass", "Bare feet on grass", "First time this year."},
	{"unread-zero", "An empty inbox", "A rumour, mostly."},
	{"library-hush", "A library, mid-morning", "Somebody turns a page."},
	{"bread-heel", "The heel of the loaf", "Baker's tax."},
	{"first-stars", "The first three stars", "You wait for the fourth."},
	{"borrowed-jumper", "A borrowed jumper", "Never given back."},
	{"kettle-click", "The click of the kettle", "Small machine, kept promise."},
	{"downhill", "Downhill, by bicycle", "Mouth closed: there are flies."},
	{"good-chair", "A chair that fits", "Found on a pavement."},
	{"child-laughter", "A child laughing in another room", "It spreads through walls."},
	{"long-shadow", "Long shadows in September", "Everyone is four metres tall."},
	{"repaired-thing", "Something you repaired", "Ugly, and yours for good."},
	{"harbour-lights", "Harbour lights from the ferry", "Coming home the slow way."},
	{"second-helping", "A second helping, offered", "One must not offend the cook."},
	{"seat-given", "A seat given up, with a smile", "Yours or theirs."},
	{"wood-smoke", "Wood smoke on a jacket", "The evening, kept till Tuesday."},
	{"cat-chooses", "The cat chose your lap", "Cancel your plans."},
	{"song-recognised", "Naming a song in two notes", "Nobody asked. You said it anyway."},
	{"empty-pool", "An empty pool lane", "Twenty metres of glass."},
	{"letter-by-hand", "A letter, by hand", "With the crossings-out left in."},
	{"early-spring-coat", "The first day without a coat", "Premature. Worth it."},
	{"blank-calendar", "A Sunday with nothing in it", "Guarded fiercely."},
	{"warm-laundry", "Laundry, still warm", "Wear it at once."},
	{"mountain-water", "Water from a mountain tap", "So cold it has a taste."},
	{"right-key", "The right key, first try", "In the dark, with shopping."},
	{"lighthouse", "A lighthouse, counted", "One, two, three, four… there."},
	{"someone-else", "Somebody else pressed it too", "Just now. Did you see?"},
}
