package e2e_test

import "testing"

// Faults are reported, and end, within seconds. These tests measure that, so they run beside
// each other only: they wait most of the time.
func TestTiming(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"InstanceWithoutRedis": testInstanceWithoutRedis, "HungRedis": testHungRedis,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}
