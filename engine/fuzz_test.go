package engine_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"astro/engine"
)

// FuzzScheduler drives a Scheduler with operations chosen by the input bytes: every operation may come at any time. The fake
// Runner finds wrong pages, check finds wrong bookkeeping, and at the end everything must have been given back.
func FuzzScheduler(f *testing.F) {
	for seed := range uint64(64) {
		rng := rand.New(rand.NewPCG(seed, 3))
		ops := make([]byte, 200)
		for i := range ops {
			ops[i] = byte(rng.UintN(256))
		}
		f.Add(seed, ops)
	}
	f.Fuzz(func(t *testing.T, seed uint64, ops []byte) {
		rng := rand.New(rand.NewPCG(seed, 5))
		d := newDriver(randomConfig(rng))
		d.fake().OnRun = func(int, *engine.Plan) error { return fault(rng) }
		d.fake().OnRow = func(*engine.Row) error {
			if rng.IntN(60) == 0 {
				return errors.New("this row failed")
			}
			return nil
		}
		for _, op := range ops[:min(len(ops), 400)] {
			if err := d.operate(rng, op); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.collect(d.scheduler.CancelAll()); err != nil {
			t.Fatal(err)
		}
		if err := d.checkEmpty(); err != nil {
			t.Fatal(err)
		}
	})
}

// fault fails some steps, and loses the pools in some of those.
func fault(rng *rand.Rand) error {
	switch rng.IntN(60) {
	case 0:
		return errors.New("the step failed")
	case 1:
		return errors.Join(errors.New("the step failed"), engine.ErrPoolsLost)
	}
	return nil
}

// operate does what op says. Half of all operations are steps.
func (d *driver) operate(rng *rand.Rand, op byte) error {
	if op >= 128 || len(d.collected) == 0 && op >= 40 {
		_, err := d.step()
		return err
	}
	if op < 40 {
		r := randomRequest(rng)
		r.Version = int64(rng.IntN(12)) / 10 * d.scheduler.Version()
		_, err := d.submit(r)
		return onlyRefusals(err)
	}
	number := 1 + rng.Uint64N(uint64(len(d.collected)))
	index := rng.IntN(len(d.collected[number].samples))
	var events []engine.Event
	switch {
	case op < 55:
		events = d.scheduler.Cancel(number)
	case op < 65:
		events = d.scheduler.Stop(number, index, rng.IntN(4)-1)
	case op < 85:
		d.scheduler.Stall(number, index, op%2 == 0)
	case op < 115:
		d.scheduler.Preempt(number, index)
	case op < 120:
		return d.swap(d.scheduler.Version() + 1)
	}
	_, err := d.collect(events)
	return err
}

// onlyRefusals passes what Submit may answer to a sound Request.
func onlyRefusals(err error) error {
	if errors.Is(err, engine.ErrPromptTooLong) || errors.Is(err, engine.ErrQueueFull) {
		return nil
	}
	return err
}
