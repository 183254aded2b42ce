package step

import (
	"testing"

	"astro/model"
)

// Sums made by hand from the published shapes. 1B: layers of 6,291,456 + 4,194,304 + 50,331,648 weights, 16 of them, and a head of
// 262,668,288; 8B: 25,165,824 + 16,777,216 + 176,160,768, 32 of them, and 525,336,576.
func TestWork(t *testing.T) {
	one, eight := model.Llama1B(), model.Llama8B()
	half := Widths{WeightBits: 16, KVTokenBytes: 32768}
	for _, c := range []struct {
		name      string
		got, want Work
	}{
		{"1b decode 8 at 1024", DecodeWork(one, half, 8, 1024), Work{2*(973_078_528+262_668_288) + 4*67_584 + 8*1024*32768, 20_846_739_456}},
		{"1b decode 1 at 0", DecodeWork(one, half, 1, 0), Work{2_471_763_968, 2*1_235_746_816 + 131_072}},
		{"8b decode 64 at 1024", DecodeWork(eight, Widths{16, 131072}, 64, 1024), Work{23_600_316_416, 64 * (2*7_504_658_432 + 524_288*1025)}},
		{"8b decode in 4 bits", DecodeWork(eight, Widths{4.5, 0}, 1, 0), Work{7_504_658_432/16*9 + 1_064_960, 2*7_504_658_432 + 524_288}},
		{"1b prefill 1024", PrefillWork(one, half, 1024), Work{2_471_763_968, 1_992_864_825_344 + 525_336_576 + 68_786_585_600}},
		{"8b prefill 4096", PrefillWork(eight, Widths{16, 131072}, 4096), Work{15_010_381_824, 61_574_775_570_432}},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %+v; want %+v", c.name, c.got, c.want)
		}
	}
}

func TestTrainFLOPs(t *testing.T) {
	const forward, layers = 5_199_192_129_536, 4_123_302_821_888 // of 1B, 2 rows of 1024
	if needed, performed := TrainFLOPs(model.Llama1B(), 2, 1024, false); needed != 3*forward || performed != needed {
		t.Errorf("got %d and %d; want %d twice", needed, performed, int64(3*forward))
	}
	if needed, performed := TrainFLOPs(model.Llama1B(), 2, 1024, true); needed != 3*forward || performed != 3*forward+layers {
		t.Errorf("got %d and %d; want %d and %d", needed, performed, int64(3*forward), int64(3*forward+layers))
	}
}

// A share of a rate is what was needed by what the time would have allowed; of a rate that is not known there is none.
func TestShares(t *testing.T) {
	p := Peaks{Published: Rates{BytesPerSecond: 4e12}, Measured: Rates{BytesPerSecond: 2e12, FLOPsPerSecond: 1e14}}
	bytes, flops := p.Shares(Work{Bytes: 1e9, FLOPs: 1e10}, .001)
	if bytes != (Share{Published: .25, Measured: .5}) || flops != (Share{Measured: .1}) {
		t.Errorf("got %+v and %+v; want .25 and .5 of the bandwidth, and .1 of the measured operations", bytes, flops)
	}
}

func TestPublished(t *testing.T) {
	if r := Published("NVIDIA H200"); r != (Rates{4.8e12, 989e12}) {
		t.Errorf("an H200 has %+v", r)
	}
	if r := Published("NVIDIA H100 PCIe"); r != (Rates{}) {
		t.Errorf("a card that is not in the table has %+v; want nothing", r)
	}
}
