package table

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestQuoteReader_UnclosedQuotes(t *testing.T) {
	long := strings.Repeat("x,1\n", 300)
	for text, want := range map[string]string{
		"a,1\nb,2\n":                      "",
		"\"a\",1\n\"b\"\"c\",2\n":         "",
		"\"two\nlines\",1\nb,2\n":         "",
		"1,\"two\r\nlines\"\r\nb,2\r\n":   "",
		"a \"quoted\" title,1\n5\" b,2\n": "",
		"\"he said \"so\" to\",1\nb,2":    "",
		"\"a,1\nb,2\nc,3\n":               "\x00a,1\nb,2\nc,3\n",
		"\"a,1\n\"b\",2\nc,3\n":           "\x00a,1\n\"b\",2\nc,3\n",
		"x,\"a\n\"b\",\"c\n":              "x,\x00a\n\"b\",\x00c\n",
		"\"a,1":                           "\x00a,1",
		"\"a,1\n" + long + "\",2\n":       "\x00a,1\n" + long + "\x00,2\n",
		"\"":                              "\x00",
		"\",\"00\nb,2\n":                  "\x00,\x0000\nb,2\n",
		"":                                "",
	} {
		if want == "" {
			want = text
		}
		got, err := io.ReadAll(newQuoteReader(strings.NewReader(text), ','))
		if err != nil || string(got) != want {
			t.Errorf("%.60q became %.60q, want %.60q, %v", text, got, want, err)
		}
	}
}

// The reader does not keep an endless line in memory.
func TestQuoteReader_LongLine(t *testing.T) {
	for _, begin := range []string{"", "\"", "a,1\n\"b\nx"} {
		endless := io.MultiReader(strings.NewReader(begin), io.LimitReader(zeros{}, 1<<40))
		if got, err := io.ReadAll(newQuoteReader(endless, ',')); !errors.Is(err, errLongLine) || len(got) > 16 {
			t.Errorf("%q: %d bytes, %v", begin, len(got), err)
		}
	}
}

// zeros is an endless text of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// The reader changes unclosed quotes only, and no row has more lines than a value may have.
func FuzzQuoteReader(f *testing.F) {
	for _, seed := range []string{"a,1\n", "\"a\nb\",1\n\"c,2\n", "\"\"\"\n\"", "\r\n\"\r\n\"", "\",\"00", "a;\"b\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := io.ReadAll(newQuoteReader(oneByteReader{strings.NewReader(text)}, ','))
		if err != nil || len(got) != len(text) {
			t.Fatalf("%q became %q, %v", text, got, err)
		}
		for i := range got {
			if got[i] != text[i] && (got[i] != unclosedQuote || text[i] != '"') {
				t.Fatalf("%q became %q", text, got)
			}
		}
		again, _ := io.ReadAll(newQuoteReader(strings.NewReader(string(got)), ','))
		if string(again) != string(got) {
			t.Fatalf("%q became %q, and that %q", text, got, again)
		}
		rows := csv.NewReader(strings.NewReader(string(got)))
		rows.FieldsPerRecord, rows.LazyQuotes = -1, true
		for {
			row, err := rows.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if lines := strings.Count(strings.Join(row, ""), "\n"); lines > 100 {
				t.Fatalf("a row of %d lines", lines)
			}
			if err != nil {
				t.Fatalf("%q: %v", got, err)
			}
		}
	})
}

// oneByteReader returns one byte at a time.
type oneByteReader struct{ io.Reader }

func (r oneByteReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }
