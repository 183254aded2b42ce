package parquet

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// golden returns the rows that testdata/make_golden.py wrote into every file.
func golden(t *testing.T) []map[string]any {
	t.Helper()
	data, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		for _, name := range []string{"id", "small"} {
			if v, ok := r[name].(float64); ok {
				r[name] = int64(v)
			}
		}
	}
	return rows
}

func files(t testing.TB) []string {
	names, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(names) != 12 {
		t.Fatalf("got files %v, error %v; want the 12 that testdata/make_golden.py writes", names, err)
	}
	return names
}

func TestGoldenFiles(t *testing.T) {
	want := golden(t)
	for _, name := range files(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := Rows(data)
		if err != nil || len(rows) != len(want) {
			t.Errorf("%s: got %d rows, error %v; want %d", name, len(rows), err, len(want))
			continue
		}
		for i := range rows {
			if !maps.Equal(rows[i], want[i]) {
				t.Errorf("%s: row %d is %v; want %v", name, i, rows[i], want[i])
				break
			}
		}
	}
}

// A file cut off anywhere, or with one byte changed, gives rows or an error, never a panic.
func TestSpoiledFiles(t *testing.T) {
	refused := 0
	for _, name := range files(t)[:6] {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(data); i += 7 {
			if _, err := Rows(data[:i]); err == nil {
				t.Errorf("%s cut at %d was accepted", name, i)
			}
			spoiled := append([]byte(nil), data...)
			spoiled[i] ^= 0x5a
			if _, err := Rows(spoiled); err != nil {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("no spoiled file was refused")
	}
}

func FuzzRows(f *testing.F) {
	for _, name := range files(f) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) { Rows(data) })
}

func FuzzSnappy(f *testing.F) {
	f.Add([]byte("\x0a\x10hello\x01\x05"), 10)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 0 || size > 1<<16 {
			return
		}
		if out, err := snappy(data, size); err == nil && len(out) > size {
			t.Errorf("got %d bytes; want at most %d", len(out), size)
		}
	})
}

// By hand: ten bytes; a literal of five; a copy of five from five back.
func TestSnappyByHand(t *testing.T) {
	out, err := snappy([]byte("\x0a\x10hello\x05\x05"), 10)
	if err != nil || string(out) != "hellohello" {
		t.Errorf("got %q, error %v; want hellohello", out, err)
	}
	for name, bad := range map[string]string{"a copy from before the start": "\x0a\x10hello\x05\x06", "a literal that is cut": "\x0a\x10hel", "another size": "\x09\x10hello\x05\x05"} {
		if out, err := snappy([]byte(bad), 10); err == nil {
			t.Errorf("%s: got %q; want an error", name, out)
		}
	}
}
