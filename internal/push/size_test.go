package push

import (
	"testing"
	"unsafe"
)

// The memory of an idle viewer is mostly its connection. The limits are size classes of the
// allocator on 64-bit systems; connections of package net have another field elsewhere.
func TestConn_Size(t *testing.T) {
	spare := unsafe.Sizeof(socket{}) - min(4, unsafe.Sizeof(socket{}))
	if size, most := unsafe.Sizeof(streamConn{}), 176+spare; size > most {
		t.Errorf("an event stream takes %d bytes, want at most %d", size, most)
	}
	if size, most := unsafe.Sizeof(socketConn{}), 224+spare; size > most {
		t.Errorf("a WebSocket takes %d bytes, want at most %d", size, most)
	}
}
