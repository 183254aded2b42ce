package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"astro/internal/device"
	"astro/training/random"
	"astro/training/recipe/stages"
)

// A crash test runs the recipe in a process of its own: this test binary, which finds a crash in its environment.
const crashVariable = "ASTRO_TEST_CRASH"

// crashRounds is the variable that asks for the long form: so many runs, killed twice in every stage.
const crashRounds = "ASTRO_TEST_CRASH_ROUNDS"

// crash says which run a process makes, and where it is killed with SIGKILL.
type crash struct {
	Dir     string
	Scratch bool          // with a base model of its own
	Only    Stage         // "" = all
	Stage   Stage         // in which it is killed; "" = nowhere
	Event   int           // behind this event of the stage; 0 = from its beginning on
	Delay   time.Duration // after that
}

func TestMain(m *testing.M) {
	plan := os.Getenv(crashVariable)
	if plan == "" {
		os.Exit(m.Run())
	}
	var c crash
	if err := errors.Join(json.Unmarshal([]byte(plan), &c), c.run()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is what the process does.
func (c *crash) run() error {
	config, err := shortConfig()
	if err != nil {
		return err
	}
	if c.Scratch {
		config = scratchConfig()
	}
	d, err := device.Open(device.Options{Backend: string(device.Go)})
	if err != nil {
		return err
	}
	p := &Pipeline{Config: config, Dir: c.Dir, Device: d}
	p.Tell = c.watch(p.plan(nil))
	return p.Run(context.Background(), c.Only)
}

// scratchConfig trains a base model of 24 steps, with a checkpoint every tenth.
func scratchConfig() Config {
	c, err := Sized(Tiny)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	c.Base = c.Base.WithTokens(24 * c.Base.Rows * c.Base.RowTokens)
	return c
}

// watch kills the process where the crash says, at the latest when the stage is sealed.
func (c *crash) watch(plan []stages.Stage) func(Event) {
	before, events := "", 0
	for i, s := range plan {
		if s.Name == c.Stage && i > 0 {
			before = string(plan[i-1].Name)
		}
	}
	if c.Stage != "" && c.Event == 0 && (c.Stage == plan[0].Name || c.Stage == c.Only) {
		time.AfterFunc(c.Delay, die)
	}
	return func(e Event) {
		switch {
		case e.End && string(e.Stage) == before && c.Event == 0:
			time.AfterFunc(c.Delay, die)
		case e.Stage != c.Stage:
		case e.End:
			die()
		default:
			if events++; events == c.Event {
				c.after()
			}
		}
	}
}

func (c *crash) after() {
	if c.Delay == 0 {
		die()
	}
	time.AfterFunc(c.Delay, die)
}

// die is kill -9.
func die() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		p.Kill()
	}
	select {}
}

// start runs a crash to its end and says whether it was killed.
func (c crash) start(t *testing.T) (killed bool) {
	t.Helper()
	plan, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), crashVariable+"="+string(plan))
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() { // by a signal
		return true
	}
	if err != nil {
		t.Fatalf("%+v: %v\n%s", c, err, out)
	}
	return false
}

// killEverywhere kills a run in three of its stages and lets it go on: it ends with the very files of p, which was not disturbed. The long
// form first makes an undisturbed run again, then kills others twice in each stage: behind an event, and at any moment.
func killEverywhere(t *testing.T, p *Pipeline, want map[string]string) {
	text := os.Getenv(crashRounds)
	if text == "" {
		dir, r := t.TempDir(), random.New(0, 0)
		for _, s := range []Stage{Search, AstroRL, Evaluate} {
			killOnce(t, p, crash{Dir: dir, Stage: s}, true, r)
		}
		crash{Dir: dir}.finish(t)
		compareRuns(t, p, dir, withoutCompared(want))
		return
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("%s is %q; want a number of rounds", crashRounds, text)
	}
	again := t.TempDir()
	crash{Dir: again}.finish(t)
	compareRuns(t, p, again, withoutCompared(want))
	for round := range rounds {
		dir := t.TempDir()
		killAll(t, p, dir, random.New(uint64(round), 0))
		compareRuns(t, p, dir, want)
	}
}

// killAll kills a run twice in every stage, those that are run on request too.
func killAll(t *testing.T, p *Pipeline, dir string, r *random.Rand) {
	t.Helper()
	for _, s := range p.plan(nil) {
		if !s.OnRequest {
			killOnce(t, p, crash{Dir: dir, Stage: s.Name}, true, r)
			killOnce(t, p, crash{Dir: dir, Stage: s.Name}, false, r)
		}
	}
	crash{Dir: dir}.finish(t)
	for _, s := range Compared {
		killOnce(t, p, crash{Dir: dir, Stage: s, Only: s}, true, r)
		killOnce(t, p, crash{Dir: dir, Stage: s, Only: s}, false, r)
		crash{Dir: dir, Only: s}.finish(t)
	}
}

// withoutCompared leaves the files of the stages that are run on request out.
func withoutCompared(sums map[string]string) map[string]string {
	sums = maps.Clone(sums)
	maps.DeleteFunc(sums, func(name, _ string) bool { return slices.Contains(Compared, Stage(filepath.Dir(name))) })
	return sums
}

// finish lets a run go on to its end.
func (c crash) finish(t *testing.T) {
	t.Helper()
	if c.start(t) {
		t.Fatal("a run was killed that should not have been")
	}
}

// killOnce kills a run in a stage: behind one of its first events, or at a moment within the time that p took for it.
func killOnce(t *testing.T, p *Pipeline, c crash, behindEvent bool, r *random.Rand) {
	t.Helper()
	seal, err := p.stages().Seal(c.Stage)
	if err != nil || seal == nil {
		t.Fatalf("the undisturbed run has no %s (%v)", c.Stage, err)
	}
	took := time.Duration(seal.Seconds * float64(time.Second))
	if c.Event = 1 + r.Intn(3); !behindEvent || c.Stage == Base { // a base model that is taken has no event but its end
		c.Event, c.Delay = 0, time.Duration(r.Intn(1+int(took)))
	}
	if !c.start(t) {
		t.Fatalf("%+v: the run was not killed", c)
	}
	was, err := stages.Folder{Dir: c.Dir}.Seal(c.Stage)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("killed in %s behind event %d after %v; sealed: %v", c.Stage, c.Event, c.Delay.Round(time.Millisecond), was != nil)
	if was != nil && c.Event == 1 {
		t.Errorf("%s was sealed before it was killed behind its first event", c.Stage)
	}
}

// compareRuns compares the files and the figures of a run with those of p; seals keep times besides.
func compareRuns(t *testing.T, p *Pipeline, dir string, want map[string]string) {
	t.Helper()
	other := &Pipeline{Config: p.Config, Dir: dir}
	got := sums(t, other)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %d files; want %d", len(got), len(want))
	}
	for _, s := range []Stage{Linearize, DirectSFT, AstroSFT, AstroRL, DirectRL, Evaluate} {
		var a, b any
		if err := errors.Join(p.figures(s, &a), other.figures(s, &b)); err != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("the figures of %s differ (%v)", s, err)
		}
	}
}

// A base model that is trained here is the same after two kills, before and behind a checkpoint.
func TestBaseKilled(t *testing.T) {
	t.Parallel()
	var models []string
	for _, kills := range [][]int{nil, {3, 13}} {
		dir := t.TempDir()
		for _, event := range kills {
			if !(crash{Dir: dir, Scratch: true, Only: Base, Stage: Base, Event: event}).start(t) {
				t.Fatal("it was not killed")
			}
		}
		crash{Dir: dir, Scratch: true, Only: Base}.finish(t)
		model, err := os.ReadFile(filepath.Join(dir, string(Base), "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, string(model))
	}
	if models[0] != models[1] {
		t.Error("the weights differ after two kills")
	}
}
