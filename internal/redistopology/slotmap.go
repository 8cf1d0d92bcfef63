package redistopology

import (
	"slices"
	"strings"
)

// slotCount is the number of slots of a Cluster (Redis Cluster specification). A Redis that is
// no Cluster holds all of them.
const slotCount = 16384

// SlotRange says that the node at Addr (host:port) holds the slots First to Last.
type SlotRange struct {
	First, Last int
	Addr        string
}

// allSlots returns the ranges of a node that holds every slot.
func allSlots(addr string) []SlotRange { return []SlotRange{{0, slotCount - 1, addr}} }

// SlotMap assigns slots to nodes. It is immutable.
type SlotMap struct {
	nodes  []*Node           // those that hold slots, by address
	single *Node             // the node that holds every slot, if there is one
	owners *[slotCount]*Node // by slot; nil for an unassigned slot
}

// Nodes returns the nodes that hold slots, in the order of their addresses. The caller
// must not change the slice.
func (m *SlotMap) Nodes() []*Node { return m.nodes }

// Single returns the node that holds every slot, or nil.
func (m *SlotMap) Single() *Node { return m.single }

// Has reports whether n holds a slot.
func (m *SlotMap) Has(n *Node) bool { return slices.Contains(m.nodes, n) }

// Complete reports whether every slot has a node.
func (m *SlotMap) Complete() bool { return !slices.Contains(m.owners[:], nil) }

// Node returns the node that holds key, or nil if none is known.
func (m *SlotMap) Node(key string) *Node {
	if m.single != nil {
		return m.single
	}
	return m.owners[slotOf(key)]
}

func newSlotMap(owners *[slotCount]*Node) *SlotMap {
	m := &SlotMap{owners: owners}
	for _, n := range owners {
		if n != nil && !m.Has(n) {
			m.nodes = append(m.nodes, n)
		}
	}
	slices.SortFunc(m.nodes, func(a, b *Node) int { return strings.Compare(a.Addr, b.Addr) })
	if len(m.nodes) == 1 && m.Complete() {
		m.single = m.nodes[0]
	}
	return m
}

// slotOf returns the slot of a key: that of its hash tag if it has one.
func slotOf(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	var crc uint16
	for i := range len(key) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return int(crc % slotCount)
}

// crcTable is the table of CRC-16/XMODEM, the hash of the Redis Cluster specification.
var crcTable = func() (table [256]uint16) {
	const polynomial = 0x1021
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ polynomial
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()
