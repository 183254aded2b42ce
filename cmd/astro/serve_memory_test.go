package main

import (
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"

	"astro/internal/device"
	"astro/model"
	"astro/training/trainer"
)

// Supervised jobs train as the plan says: a job's weights, activations and products are those of the loop.
func TestSupervisedJobsKeepToThePlan(t *testing.T) {
	o := defaultServeOptions()
	o.learn, o.store, o.checkpoints, o.loraRank, o.compute = "jobs", "s", true, 16, "bf16"
	b := &backend{config: model.Llama8B(), context: 4096, devices: 1, kvType: dtypes.BFloat16}
	learn := o.learnFlags.settingsOn(b, device.XLACUDA)
	c := imitation(learn)
	if got, most := trainer.Memory(device.XLACUDA, b.config, c.Rows, c.RowTokens, c.Optimizer), trainer.Memory(device.XLACUDA, b.config, learn.Rows, learn.RowTokens, learn.Optimizer); got > most {
		t.Errorf("a supervised job needs %d bytes; %d were planned", got, most)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// What serves and learns at once on a GPU of 139 GiB, of which a tenth is left to libraries: 1B and 3B fully and 8B with LoRA, each with pages for
// every slot's context and four sets of weights, the served one, two that are kept and a candidate. 8B fully does not, and it is said before anything
// is loaded.
func TestPlanOfServingAndLearning(t *testing.T) {
	const available = 139 << 30 / 10 * 9
	for _, c := range []struct {
		name  string
		model model.Config
		rank  int
		why   string // that it does not fit; "" = it does
	}{
		{"1B", model.Llama1B(), 0, ""}, {"3B", model.Llama3B(), 0, ""}, {"8B, LoRA of rank 16", model.Llama8B(), 16, ""}, {"8B", model.Llama8B(), 0, "learning needs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := defaultServeOptions()
			o.learn, o.store, o.checkpoints, o.loraRank, o.maxSlots, o.chunkTokens = "jobs", "s", true, c.rank, 32, 512
			b := &backend{config: c.model, context: 4096, devices: 1, kvType: dtypes.BFloat16}
			plan, err := planWithin(b, o, device.XLACUDA, available, dtypes.BFloat16)
			sets, learning := o.learnFlags.memory(b, device.XLACUDA)
			t.Logf("learning %.1f GiB, %d sets of weights; %s", float64(learning)/(1<<30), sets, plan)
			switch {
			case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
				t.Errorf("got %v; want that %q", err, c.why)
			case c.why == "" && (err != nil || plan.Needed()+learning > available || plan.KVTokens < o.maxSlots*b.context || sets != 4):
				t.Errorf("%d bytes, %v; want all slots at full length within %d", plan.Needed()+learning, err, int64(available))
			}
		})
	}
}
