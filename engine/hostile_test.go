package engine_test

import (
	"math"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"astro/engine"
	"astro/engine/enginetest"
	"astro/model"
)

// lyingRunner is the fake, except that it spoils the results of one prompt's rows.
type lyingRunner struct {
	*enginetest.Runner
	spoil func(*engine.RowResult)
	lies  int
}

func (r *lyingRunner) Run(plan *engine.Plan) (engine.Result, error) {
	result, err := r.Runner.Run(plan)
	for i := range result.Rows {
		if row := plan.Rows[i].Sample; row != nil && row.Prompt[0] == firstOfHostile && r.spoil != nil {
			r.spoil(&result.Rows[i])
			r.lies++
		}
	}
	return result, err
}

// hostileNeighbour is what the eighth of a batch does.
type hostileNeighbour struct {
	name  string
	make  func(*engine.Request)
	spoil func(*engine.RowResult)
	each  func(*driver, uint64) error // after each step; the hostile's number
}

func hostileNeighbours() []hostileNeighbour {
	ids := func(f func(*engine.Request)) func(*engine.Request) { return f }
	return []hostileNeighbour{
		{name: "prompt id", make: ids(func(r *engine.Request) { r.Prompt = []int32{firstOfHostile, vocab} })},
		{name: "negative prompt id", make: ids(func(r *engine.Request) { r.Prompt = []int32{firstOfHostile, -1} })},
		{name: "prompt id beyond 31 bits", make: ids(func(r *engine.Request) { r.Prompt = []int32{firstOfHostile, math.MinInt32} })},
		{name: "stop id", make: ids(func(r *engine.Request) { r.StopTokens = []int32{1 << 30} })},
		{name: "biased id", make: ids(func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{vocab: 100} })},
		{name: "negative biased id", make: ids(func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{-1: 100} })},
		{name: "allowed ids", make: ids(func(r *engine.Request) { r.Allowed = []uint64{1 << vocab} })},
		{name: "many allowed ids", make: ids(func(r *engine.Request) { r.Allowed = make([]uint64, 99) })},
		{name: "infinite bias", make: ids(func(r *engine.Request) { r.Params.LogitBias = map[int32]float32{1: float32(math.Inf(1))} })},
		{name: "largest biases", make: ids(func(r *engine.Request) {
			r.Params.LogitBias = map[int32]float32{0: -100, 1: 100, 2: -100, 3: 100}
			r.Params.RepetitionPenalty, r.Params.PresencePenalty, r.Params.FrequencyPenalty = 1000, -2, -2
		})},
		{name: "token outside", spoil: func(r *engine.RowResult) { r.Choices[0].Token = vocab }},
		{name: "negative token", spoil: func(r *engine.RowResult) { r.Choices[0].Token = -1 }},
		{name: "not finite", spoil: func(r *engine.RowResult) { r.Choices[0].Logprob = float32(math.NaN()) }},
		{name: "row fails", spoil: func(r *engine.RowResult) { r.Err = os.ErrInvalid }},
		{name: "cancelled", each: func(d *driver, n uint64) error { _, err := d.collect(d.scheduler.Cancel(n)); return err }},
		{name: "stopped", each: func(d *driver, n uint64) error { _, err := d.collect(d.scheduler.Stop(n, 0, -1)); return err }},
		{name: "preempted", each: func(d *driver, n uint64) error { d.scheduler.Preempt(n, 0); return d.check() }},
	}
}

// R7: seven of a batch of eight get, bit for bit, what they get without the eighth, whatever that one is.
func TestSec_R07HostileNeighbour(t *testing.T) {
	want := batchOfSeven(t, nil)
	for _, h := range hostileNeighbours() {
		got := batchOfSeven(t, &h)
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("%s: request %d got %+v; want %+v", h.name, i, got[i], want[i])
			}
		}
	}
}

// batchOfSeven runs seven requests of all kinds, and the eighth in the middle of them.
func batchOfSeven(t *testing.T, h *hostileNeighbour) (answers []collected) {
	t.Helper()
	c := smallConfig()
	c.MaxSlots, c.Pages, c.StepTokens = 8, 80, 64
	runner := &lyingRunner{Runner: enginetest.New(c)}
	d := newDriverOn(runner, c, 1)
	var numbers []uint64
	var hostile uint64
	for i := range 7 {
		r := request(uint64(i), 1, 2, int32(i), 4, 5)
		r.Params.Temperature, r.TopN, r.Score, r.MaxTokens, r.IgnoreEOS = float32(i%2), i%3, i%4 == 0, 20, i%3 == 0
		number, err := d.submit(r)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
		if i == 3 && h != nil {
			bad := request(9, firstOfHostile, 2, 3)
			if runner.spoil = h.spoil; h.make != nil {
				h.make(&bad)
			}
			hostile, _ = d.submit(bad) // refused, or let in: both must be harmless
		}
	}
	for !d.scheduler.Idle() {
		_, err := d.step()
		if err == nil && h != nil && h.each != nil {
			err = h.each(d, hostile)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.checkEmpty(); err != nil {
		t.Error(err)
	}
	if h != nil && h.spoil != nil && runner.lies == 0 {
		t.Errorf("%s: nothing was spoiled", h.name)
	}
	for _, n := range numbers {
		answers = append(answers, *d.collected[n])
	}
	return answers
}

// R30: a state that the code excludes ends the process with a line that names it; nothing goes on with wrong pages. The process is
// another one, so that this one can look.
func TestSec_R30BrokenInvariantEndsTheProcess(t *testing.T) {
	const child = "ASTRO_TEST_BREAK_INVARIANT"
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestSec_R30BrokenInvariantEndsTheProcess$")
		c.Env = append(os.Environ(), child+"=1")
		said, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(said), "panic: BUG: ") || strings.Contains(string(said), "went on") {
			t.Errorf("got %v and %s; want an end with BUG", err, said)
		}
		return
	}
	o := enginetest.Options(32)
	o.StreamEvents = 2
	e := enginetest.Start(t, o, nil)
	r := request(1, 1, 2, 3, 4, 5)
	r.MaxTokens = 100
	s := submit(t, e, r)
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.FreePagesInUse(); err != nil {
		t.Fatal(err)
	}
	s.Close() // gives the pages back once more
	read(t, submit(t, e, r))
	t.Log("went on")
}

// R30: versions only grow, whatever is asked.
func TestSec_R30VersionsGrow(t *testing.T) {
	e := enginetest.Start(t, enginetest.Options(32), nil)
	for _, v := range []int64{5, 5, 3, 6, 0, -1, 7} {
		before := e.Version()
		if err := e.Swap(model.NewPolicy(v, nil)); (err == nil) != (v > before) || e.Version() != max(v, before) {
			t.Errorf("swap from %d to %d: %v, now %d", before, v, err, e.Version())
		}
	}
}
