package stages

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// counted is a plan of two stages that count how often they are made.
func counted(made map[Name]int, first, second any) []Stage {
	work := func(s Name) Work {
		return func(context.Context, string) (func(string) error, any, error) {
			made[s]++
			return func(dir string) error { return os.WriteFile(filepath.Join(dir, "out"), []byte(s), 0o644) }, 7, nil
		}
	}
	return []Stage{{Name: "first", Settings: first, Work: work("first")}, {Name: "second", Needs: []Name{"first"}, Settings: second, Work: work("second")}}
}

// A run takes over the stages that another run made in the very same way, and makes the others and what follows from them.
func TestTake(t *testing.T) {
	made := map[Name]int{}
	one := Folder{Dir: t.TempDir()}
	if err := one.Run(t.Context(), counted(made, 1, 1), ""); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		first, second any
		want          map[Name]int
	}{
		{"all alike", 1, 1, map[Name]int{"first": 1, "second": 1}},
		{"another second", 1, 2, map[Name]int{"first": 1, "second": 2}},
		{"another first", 2, 1, map[Name]int{"first": 2, "second": 2}},
	} {
		clear(made)
		made["first"], made["second"] = 1, 1
		taken := 0
		two := Folder{Dir: t.TempDir(), From: one.Dir, Tell: func(e Event) {
			if e.Skipped {
				taken++
			}
		}}
		if err := two.Run(t.Context(), counted(made, c.first, c.second), ""); err != nil {
			t.Fatal(err)
		}
		if made["first"] != c.want["first"] || made["second"] != c.want["second"] || taken != 4-made["first"]-made["second"] {
			t.Errorf("%s: stages were made %v times and %d taken; want %v", c.name, made, taken, c.want)
		}
		for _, s := range []Name{"first", "second"} {
			if text, err := os.ReadFile(filepath.Join(two.Path(s), "out")); err != nil || string(text) != string(s) {
				t.Errorf("%s: %s has %q (%v)", c.name, s, text, err)
			}
		}
	}
}

// What is taken over outlives the run that it came from, and work that was begun on it is dropped.
func TestTakenIsKept(t *testing.T) {
	made := map[Name]int{}
	dir := t.TempDir()
	one, two := Folder{Dir: filepath.Join(dir, "1")}, Folder{Dir: filepath.Join(dir, "2"), From: filepath.Join(dir, "1")}
	if err := one.Run(t.Context(), counted(made, 1, 1), ""); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(two.Path("first")+".part", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := two.Run(t.Context(), counted(made, 1, 1), ""); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(one.Dir); err != nil {
		t.Fatal(err)
	}
	if err := two.Run(t.Context(), counted(made, 1, 1), ""); err != nil || made["first"] != 1 {
		t.Errorf("stages were made %v times (%v)", made, err)
	}
	if _, err := os.Stat(two.Path("first") + ".part"); !os.IsNotExist(err) {
		t.Errorf("the unfinished work is still there (%v)", err)
	}
}
