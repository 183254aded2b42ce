package stages

import "testing"

// A stage on request is made only where it is named, and is kept like any other.
func TestOnRequest(t *testing.T) {
	made, kept := map[Name]int{}, map[Name]int{}
	plan := counted(made, 1, 1)
	plan[1].OnRequest = true
	f := Folder{Dir: t.TempDir(), Tell: func(e Event) {
		if e.Skipped {
			kept[e.Stage]++
		}
	}}
	for _, run := range []struct {
		only   Name
		second int // times that the second was made after it
	}{{"", 0}, {"second", 1}, {"", 1}, {"second", 1}} {
		if err := f.Run(t.Context(), plan, run.only); err != nil {
			t.Fatal(err)
		}
		if made["first"] != 1 || made["second"] != run.second {
			t.Errorf("after %q stages were made %v times; want the second %d times", run.only, made, run.second)
		}
	}
	if kept["second"] != 1 {
		t.Errorf("the second stage was kept %d times; want once, where it was named", kept["second"])
	}
	plan[1].Settings = 2
	if err := f.Run(t.Context(), plan, ""); err == nil {
		t.Error("a stage on request that was made with other settings was passed over")
	}
}
