package config

import "testing"

// A store's URL is shown without any of its passwords.
func TestRedactStore(t *testing.T) {
	for text, want := range map[string]string{
		"redis://host/1":                 "redis://host/1",
		"redis://:hunter2@host/1?wait=1": "redis://:***@host/1?wait=1",
		"redis://u:hun/ter?2@host":       "redis://u:***@host",
		"redis+sentinel://u:hunter2@a,b/m?sentinel_user=w&sentinel_password=hunter2&wait=1": "redis+sentinel://u:***@a,b/m?sentinel_user=w&sentinel_password=***&wait=1",
		"redis+sentinel://a,b/m?sentinel_password=hun@ter2":                                 "redis+sentinel://a,b/m?sentinel_password=***",
		"redis+sentinel://a,b/m?sentinel%5Fpassword=hunter2":                                "redis+sentinel://a,b/m?sentinel%5Fpassword=***",
	} {
		if got := redactStore(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
