package redistopology

import "testing"

// The source of a script is built once, by its first use.
func TestScript_SourceOfFirstUse(t *testing.T) {
	built := 0
	script := NewScript("one", func() string { built++; return "return 1" }, false)
	if built != 0 {
		t.Error("an unused script was built")
	}
	first, second := NewCall(script, "key"), NewCall(script, "key")
	const hash = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" // SHA-1 of the source
	if *first.args[1].(*string) != hash || *second.args[1].(*string) != hash || built != 1 {
		t.Errorf("hash %s, built %d times", *first.args[1].(*string), built)
	}
}
