package engine_test

import (
	"testing"
	"time"

	"astro/internal/device"
	"astro/model/modeltest"

	"github.com/gomlx/compute/dtypes"
)

// What Warm asks for is pending, and then ready; asking again for what is there asks for nothing.
func TestProgramsAreCounted(t *testing.T) {
	onEachDevice(t, func(t *testing.T, d *device.Device) {
		c := smallRunner(dtypes.Float32)
		c.Background, c.MaxSlots, c.ChunkTokens = true, 2, 16 // little to compile
		r := newRunner(t, d, loadPolicy(t, d, modeltest.Named(t, "mha"), dtypes.Float32), c)
		first := r.Programs()
		if first.Ready < 2 || first.Pending != 0 {
			t.Fatalf("got %+v; want the two programs that hold everything, and none pending", first)
		}
		r.Warm()
		asked := r.Programs()
		if asked.Ready+asked.Pending <= first.Ready {
			t.Errorf("got %+v after %+v; want more, pending or ready already", asked, first)
		}
		for deadline := time.Now().Add(time.Minute); r.Programs().Pending > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%+v are pending still", r.Programs())
			}
		}
		warm := r.Programs()
		if r.Warm(); r.Programs() != warm || warm.Ready < asked.Ready+asked.Pending {
			t.Errorf("got %+v, then %+v; want at least the %d that were asked for, and no more the second time", warm, r.Programs(), asked.Ready+asked.Pending)
		}
	})
}
