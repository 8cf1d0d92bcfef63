package bundle

import (
	"bytes"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
)

// A page is rendered here but for what is known at run time only: the base path
// and the numbers. Marks stand in their places, and package web fills them:
//
//	~base~            the base path
//	~path~            where the page itself is, base path included
//	~count TOPIC~     a topic's number
//	~grouped TOPIC~   the same for people: 12,345
//	~sum PREFIX~      the sum, for people, over the topics that begin so
//
// A mark needs no escape in HTML's text, in a quoted attribute or, where it has
// no space, in a URL; html/template therefore leaves it as it is.

// pages are the demo's, by their template's name, with their titles.
var pages = map[string]string{
	"article": "How a number travels",
	"listing": "Fifty small pleasures",
	"gallery": "Gallery",
}

// view is what the templates see.
type view struct {
	Name      string // of the page's template
	Title     string
	Base      string
	Path      string
	Topic     string // the article's
	Pleasures []pleasure
	Total     string

	// What the gallery shows.
	Exhibits   []exhibit
	Everywhere []attribute
	Pinned     string // the script's name for good
	Integrity  string // of it
}

// Count returns the mark of a topic's number.
func (view) Count(topic string) string { return "~count " + topic + "~" }

// Grouped returns the mark of a topic's number as people read it.
func (view) Grouped(topic string) string { return "~grouped " + topic + "~" }

// form is a heart without JavaScript: it posts, and comes back to the page.
type form struct {
	Action, Return, Label, Grouped string
}

// Form returns the form of a topic's heart.
func (v view) Form(topic, label string) form {
	return form{Action: v.Base + "/v1/" + topic, Return: v.Path, Label: label, Grouped: v.Grouped(topic)}
}

// addPages renders the pages of dir/demo into files.
func addPages(files map[string][]byte, dir string) error {
	whole := files["whole.js"]
	names, err := filepath.Glob(filepath.Join(dir, "demo", "*.html"))
	if err != nil {
		return err
	}
	all := template.New("")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if bytes.ContainsRune(text, '~') {
			return fmt.Errorf("%s: a tilde would be taken for a mark; write &#126;", name)
		}
		if _, err := all.New(filepath.Base(name)).Parse(string(text)); err != nil {
			return err
		}
	}
	for name, title := range pages {
		var page bytes.Buffer
		err := all.ExecuteTemplate(&page, name+".html", view{
			Name: name, Title: title, Base: "~base~", Path: "~path~",
			Topic: "default/likes/hello", Pleasures: pleasures, Total: "~sum " + pleasureTopics + "~",
			Exhibits: exhibits, Everywhere: everywhere, Pinned: Name(whole), Integrity: Integrity(whole),
		})
		if err != nil {
			return err
		}
		files[name+".html"] = page.Bytes()
	}
	return nil
}
