package hub

import "testing"

// A viewer of whose topics one changed is searched at one slot, and at all slots after another changes.
func TestSlots(t *testing.T) {
	for _, c := range []struct {
		name       string
		from       slots
		add        []int32
		first, end int
	}{
		{"none", noSlots, nil, 0, 0},
		{"first", noSlots, []int32{0}, 0, 1},
		{"last, twice", noSlots, []int32{8, 8}, 8, 9},
		{"two", noSlots, []int32{0, 8}, 0, 9},
		{"all", allSlots, []int32{3}, 0, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.from
			for _, slot := range c.add {
				s.add(slot)
			}
			if first, end := s.bounds(9); first != c.first || end != c.end {
				t.Errorf("bounds %d, %d, want %d, %d", first, end, c.first, c.end)
			}
		})
	}
}
