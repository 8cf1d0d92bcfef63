package processtest

import "testing"

// Nobody else gets the port of a test before the test ends.
func TestFreePort_Reserved(t *testing.T) {
	var port string
	t.Run("during the test", func(t *testing.T) {
		port = FreePort(t)
		if _, ok := reserve(t, port); ok {
			t.Error("a port was given twice")
		}
	})
	release, ok := reserve(t, port)
	if !ok {
		t.Fatal("the port is reserved after the end of the test")
	}
	release()
}
