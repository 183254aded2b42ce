package feedback_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"astro/feedback"
)

func opened(t testing.TB, path string) *feedback.Store {
	t.Helper()
	s, err := feedback.Open(path, feedback.Options{KeepText: true, Retention: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soundFile is a closed store with a few of everything, and what a reader sees in it.
func soundFile(t testing.TB, completions int) (file []byte, seen string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, ctx := opened(t, path), context.Background()
	for i := range completions {
		c := answer(fmt.Sprint("c", i))
		prompt := fmt.Sprint("question ", i)
		c.PromptText, c.Metadata, c.Created = &prompt, []byte(`{"n":1}`), time.UnixMilli(1e12)
		if i%3 == 0 {
			c.Sampled = c.Logprobs
		}
		noError(t, s.Add(ctx, c))
		for _, rater := range []string{"ann", "bob"} {
			_, _, err := s.Rate(ctx, feedback.Feedback{Completion: c.ID, Tenant: "a", Key: "k", Rater: rater, Source: feedback.App, Reward: float64(i%5)/4 - .5, Evidence: "e"}, false)
			noError(t, err)
		}
	}
	noError(t, s.PutTree(ctx, feedback.Tree{ID: "t", Version: 1, Tree: []byte(`"` + strings.Repeat("tree", 2000) + `"`)}))
	noError(t, s.PutPrompts(ctx, []feedback.Prompt{{ID: "p", Tenant: "a", Dataset: "d", Tokens: []int32{1, 2, 3}, Item: "{}", Grader: "{}"}}))
	noError(t, s.PutFile(ctx, feedback.File{ID: "f", Tenant: "a", Name: "n", Purpose: "p", Content: bytes.Repeat([]byte{7}, 9000)}))
	seen, err := see(s)
	noError(t, errors.Join(err, s.Close()))
	file, err = os.ReadFile(path)
	noError(t, err)
	return file, seen
}

// see reads what there is as a client does, one way and another.
func see(s *feedback.Store) (string, error) {
	ctx := context.Background()
	var all strings.Builder
	if err := s.Export(ctx, &all, -1); err != nil {
		return "", err
	}
	rated, err := s.Waiting(ctx, 1000, time.UnixMilli(1<<60))
	if err != nil {
		return "", err
	}
	for _, r := range rated {
		choices, said, err := s.Completion(ctx, "a", r.ID)
		if err != nil {
			return "", fmt.Errorf("completion %q: %w", r.ID, err)
		}
		fmt.Fprintln(&all, r.ID, r.Reward, r.Votes, len(choices), len(said), choices[0].Output)
	}
	trees, err := s.Trees(ctx, 10)
	if err != nil {
		return "", err
	}
	prompts, err := s.Prompts(ctx, "d")
	if err != nil {
		return "", err
	}
	f, err := s.File(ctx, "a", "f")
	fmt.Fprint(&all, trees, prompts, f.Name, f.Content)
	return all.String(), err
}

// openDamaged opens a file that may be damaged: it says so, or what is seen is what was written.
func openDamaged(t testing.TB, file []byte, want string) (detected bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "damage")
	noError(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "state.db")
	noError(t, os.WriteFile(path, file, 0o600))
	s, err := feedback.Open(path, feedback.Options{KeepText: true, Retention: 1 << 62})
	if err != nil {
		if len(err.Error()) > 1000 || !strings.Contains(err.Error(), path) {
			t.Errorf("got %q; want an error that names the file", err)
		}
		return true
	}
	defer s.Close()
	got, err := see(s)
	if err == nil && got != want {
		t.Errorf("a damaged file gave wrong data:\n%.2000s\nwant\n%.2000s", got, want)
	}
	return err != nil
}

// Bits that flip (two for each kill of the crash test), pages that are missing, torn or exchanged: it is said, or it does not matter.
func TestDamageIsSaid(t *testing.T) {
	file, want := soundFile(t, 12)
	r, detected, tried := rand.New(rand.NewPCG(5, 6)), map[string]int{}, map[string]int{}
	try := func(kind string, damage func(file []byte) []byte) {
		tried[kind]++
		if openDamaged(t, damage(bytes.Clone(file)), want) {
			detected[kind]++
		}
	}
	pages := len(file) / 4096
	for range kills(t, 10) * 2 {
		try("bit", func(file []byte) []byte { file[r.IntN(len(file))] ^= 1 << r.IntN(8); return file })
	}
	for page := 1; page < pages; page += 12 {
		try("cut", func(file []byte) []byte { return file[:page*4096] })
		try("torn", func(file []byte) []byte { return file[:page*4096+1+r.IntN(4094)] })
		try("zeros", func(file []byte) []byte { clear(file[page*4096:][:4096]); return file })
		try("swap", func(file []byte) []byte {
			a, b := file[page*4096:][:4096], file[(page+1)%pages*4096:][:4096]
			for i := range a {
				a[i], b[i] = b[i], a[i]
			}
			return file
		})
	}
	t.Logf("%d pages; damage %v, detected %v, the others changed nothing that is read", pages, tried, detected)
	if detected["swap"] < tried["swap"]/2 || detected["torn"] < tried["torn"] || detected["bit"] == 0 {
		t.Errorf("detected %v of %v", detected, tried)
	}
}

// A value that changed in its place, which SQLite cannot see, is found by the checksum of its row, wherever it is read.
func TestChecksumOfARow(t *testing.T) {
	ctx := context.Background()
	for _, change := range []string{"UPDATE feedback SET reward = 0.75 WHERE seq = 3", "UPDATE feedback SET superseded = 1 WHERE seq = 4", "UPDATE completions SET state = 'aborted' WHERE id = 'c1'",
		"UPDATE completions SET logprobs = zeroblob(400) WHERE id = 'c1'", "UPDATE completions SET spans = '[{\"version\":2,\"start\":0,\"end\":100}]' WHERE id = 'c1'",
		"UPDATE completions SET crc = 0 WHERE id = 'c1'", "UPDATE trees SET tree = 'x'", "UPDATE prompts SET item = 'x'", "UPDATE files SET content = x'00'"} {
		file, _ := soundFile(t, 2)
		path := filepath.Join(t.TempDir(), "state.db")
		noError(t, os.WriteFile(path, file, 0o600))
		db, err := sql.Open("sqlite", "file:"+path)
		noError(t, err)
		_, err = db.Exec(change)
		noError(t, errors.Join(err, db.Close()))
		s := opened(t, path)
		if _, err := see(s); !errors.Is(err, feedback.ErrDamaged) {
			t.Errorf("%s: reading said %v; want ErrDamaged", change, err)
		}
		if err := s.Verify(ctx); !errors.Is(err, feedback.ErrDamaged) || errors.Is(err, feedback.ErrBroken) {
			t.Errorf("%s: Verify said %v; want ErrDamaged", change, err)
		}
	}
	file, _ := soundFile(t, 2)
	path := filepath.Join(t.TempDir(), "state.db")
	noError(t, os.WriteFile(path, file, 0o600))
	if err := opened(t, path).Verify(ctx); err != nil {
		t.Errorf("a sound file: %v", err)
	}
}

// Files that are no store of ours, or of a later program, stay as they are.
func TestForeignFilesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		make string
		want string
	}{
		"other program": {"CREATE TABLE t(x)", "another program's database"},
		"other id":      {"PRAGMA application_id = 7", "another program's database"},
		"later format":  {"PRAGMA application_id = 0x61737472; PRAGMA user_version = 99; CREATE TABLE t(x)", "use a newer program"},
	} {
		path := filepath.Join(t.TempDir(), "state.db")
		db, err := sql.Open("sqlite", "file:"+path)
		noError(t, err)
		_, err = db.Exec(test.make)
		noError(t, errors.Join(err, db.Close()))
		if _, err := feedback.Open(path, feedback.Options{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v; want %q", name, err, test.want)
		}
	}
	path := filepath.Join(t.TempDir(), "state.db")
	noError(t, os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 1000), 0o600))
	if _, err := feedback.Open(path, feedback.Options{}); !errors.Is(err, feedback.ErrDamaged) || !strings.Contains(err.Error(), "move the file away") {
		t.Errorf("a text: got %v; want ErrDamaged and what to do", err)
	}
}

// FuzzDamagedFile changes bytes of a sound store: 3 bytes say where and 1 says how.
func FuzzDamagedFile(f *testing.F) {
	file, want := soundFile(f, 4)
	f.Add([]byte{0, 0, 18, 3, 0, 0, 60, 1})
	f.Add([]byte{0, 16, 0, 255, 0, 32, 3, 1, 0, 48, 5, 8})
	f.Fuzz(func(t *testing.T, edits []byte) {
		file := bytes.Clone(file)
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int(edits[0])<<16 | int(edits[1])<<8 | int(edits[2])
			file[at%len(file)] ^= edits[3]
		}
		openDamaged(t, file, want)
	})
}

// FuzzImport reads any text as an export: it is refused with its line, or what is stored can be exported and imported again.
func FuzzImport(f *testing.F) {
	s := opened(f, filepath.Join(f.TempDir(), "seed.db"))
	noError(f, s.Add(context.Background(), answer("c1")))
	_, _, err := s.Rate(context.Background(), feedback.Feedback{Completion: "c1", Tenant: "a", Key: "k", Source: feedback.App, Reward: 1, Metadata: []byte(`{"a":[1]}`)}, false)
	noError(f, err)
	var good bytes.Buffer
	noError(f, s.Export(context.Background(), &good, 0))
	f.Add(good.Bytes())
	f.Add([]byte(`{"type":"completion","id":"x","state":"complete","logprobs":[],"params":[1],"metadata":"m"}`))
	f.Add([]byte(`{"type":"feedback","id":"f","completion_id":"x","source":"app","reward":1e308}` + "\n\n{"))
	f.Add([]byte(`{"type":"completion","id":"x","choice":9e99}`))
	f.Add([]byte(`{"type":"tree","id":"p","version":3,"tree":{"format":1, "q": 1e400, "problem":"<"}}` + "\n" + `{"type":"tree","id":"p","tree":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		first, second := opened(t, filepath.Join(t.TempDir(), "a.db")), opened(t, filepath.Join(t.TempDir(), "b.db"))
		if _, err := first.Import(context.Background(), bytes.NewReader(text)); err != nil && !strings.Contains(err.Error(), "import line ") {
			t.Fatalf("got %v; want an error that names the line", err)
		}
		var one, two bytes.Buffer
		noError(t, first.Export(context.Background(), &one, 0))
		if _, err := second.Import(context.Background(), bytes.NewReader(one.Bytes())); err != nil {
			t.Fatalf("an export is refused: %v\n%s", err, one.String())
		}
		noError(t, second.Export(context.Background(), &two, 0))
		if one.String() != two.String() {
			t.Errorf("exported\n%s\nand again\n%s", one.String(), two.String())
		}
	})
}
