package plaintext_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/tallycast/tallycast/internal/plaintext"
)

// encoded returns text as UTF-16, with a byte order mark if the policy asks for one.
func encoded(t *testing.T, text string, order unicode.Endianness, mark unicode.BOMPolicy) string {
	t.Helper()
	out, err := unicode.UTF16(order, mark).NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNewReader_EncodingsOfSpreadsheets(t *testing.T) {
	const text = "topic,count\r\nblog/likes/größe,12\r\n"
	for name, in := range map[string]string{
		"UTF-8":                    text,
		"UTF-8 with a mark":        "\ufeff" + text,
		"UTF-16LE":                 encoded(t, text, unicode.LittleEndian, unicode.UseBOM),
		"UTF-16BE":                 encoded(t, text, unicode.BigEndian, unicode.UseBOM),
		"UTF-16LE without a mark":  encoded(t, text, unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-16BE without a mark":  encoded(t, text, unicode.BigEndian, unicode.IgnoreBOM),
		"UTF-16 beyond the buffer": encoded(t, strings.Repeat(text, 9000), unicode.LittleEndian, unicode.UseBOM),
	} {
		want := text
		if strings.Contains(name, "beyond") {
			want = strings.Repeat(text, 9000)
		}
		r, err := plaintext.NewReader(strings.NewReader(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%s: %.80q, %v", name, got, err)
		}
	}
}

func TestNewReader_LinesAndEdges(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "\r": "\r", "a\r": "a\r", "a\rb\rc": "a\nb\nc", "a\r\nb\r": "a\r\nb\r", "\xef\xbb\xbf": "", "\xff\xfe": "", "\xff": "\xff", "\xe4,1\n": "\xe4,1\n",
	} {
		r, err := plaintext.NewReader(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"\xff\xfe\x00\x00a\x00\x00\x00", "\x00\x00\xfe\xff\x00\x00\x00a"} {
		if _, err := plaintext.NewReader(strings.NewReader(in)); !errors.Is(err, plaintext.ErrUTF32) {
			t.Errorf("%q: %v", in, err)
		}
	}
}
