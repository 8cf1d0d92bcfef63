package tally

import (
	"fmt"
	"testing"
)

// Each rename adds a setting of aliases and makes all instances read the settings. They
// parse the new setting, not those of all earlier renames.
func TestParseSettings_Unchanged(t *testing.T) {
	stored := map[string]string{}
	topics := make([]Topic, 10)
	for i := range topics {
		var err error
		if topics[i], err = ParseTopic(fmt.Sprint("blog/likes/new-", i)); err != nil {
			t.Fatal(err)
		}
		former, err := ParseTopic(fmt.Sprint("blog/likes/old-", i))
		if err != nil {
			t.Fatal(err)
		}
		name, value := AliasSetting(topics[i], []Topic{former})
		stored[name] = value
	}
	before, err := parseSettings(stored, &settings{})
	if err != nil {
		t.Fatal(err)
	}
	name, value := AliasSetting(topics[0], topics[1:2])
	stored[name], stored[AliasSettings(topics[1])[1]] = value, "another mark"
	after, err := parseSettings(stored, before)
	if err != nil {
		t.Fatal(err)
	}
	parsed := 0
	for _, topic := range topics {
		if &after.aliases[topic].topics[0] != &before.aliases[topic].topics[0] {
			parsed++
		}
	}
	if parsed != 1 || after.aliases[topics[0]].topics[0] != topics[1] {
		t.Errorf("%d settings were parsed again; the changed one is %v", parsed, after.aliases[topics[0]])
	}
	if mark := after.aliases[topics[1]].mark; mark != "another mark" {
		t.Errorf("the mark of unchanged aliases is %q", mark)
	}
}
