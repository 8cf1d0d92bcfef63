package bundle

import (
	"bytes"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
)

// A page is rendered here except for what is known only at run time: the base path
// and the numbers. Placeholders mark them, and package web replaces them:
//
//	~base~            the base path
//	~path~            the page's own path, with the base path
//	~count TOPIC~     a topic's number
//	~grouped TOPIC~   the same for people: 12,345
//	~sum PREFIX~      the sum over the topics with that prefix, for people
//
// A placeholder needs no escaping in HTML's text, in a quoted attribute or, if it
// has no space, in a URL; html/template leaves it as it is.

// pages are the titles of the demo's pages, by the template's name.
var pages = map[string]string{
	"article": "How a number travels",
	"listing": "Fifty small pleasures",
	"gallery": "Gallery",
}

// view is the templates' data.
type view struct {
	Name  string // of the page's template
	Title string
	Base  string
	Path  string
	Topic string // of the article
	Items []item
	Total string

	Elements         []element
	CommonAttributes []attribute
	Pinned           string // the script's permanent name
	Integrity        string // of the script
}

// Count returns the placeholder of a topic's number.
func (view) Count(topic string) string { return "~count " + topic + "~" }

// Grouped returns the placeholder of a topic's number for people.
func (view) Grouped(topic string) string { return "~grouped " + topic + "~" }

// form is a heart without JavaScript: it posts and returns to the page.
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
			return fmt.Errorf("%s: a tilde would begin a placeholder; write &#126;", name)
		}
		if _, err := all.New(filepath.Base(name)).Parse(string(text)); err != nil {
			return err
		}
	}
	for name, title := range pages {
		var page bytes.Buffer
		err := all.ExecuteTemplate(&page, name+".html", view{
			Name: name, Title: title, Base: "~base~", Path: "~path~",
			Topic: "default/likes/hello", Items: items, Total: "~sum " + itemTopics + "~",
			Elements: elements, CommonAttributes: commonAttributes, Pinned: Name(whole), Integrity: Integrity(whole),
		})
		if err != nil {
			return fmt.Errorf("render the demo: %w", err)
		}
		files[name+".html"] = page.Bytes()
	}
	return nil
}
