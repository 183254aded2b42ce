package sampler

import (
	"testing"

	"astro/internal/device/devicetest"
)

// Drawing on an H200 needs no more than a few copies of the logits, as the memory plan has it (engine.MemoryRequest).
func TestProgramsForH200(t *testing.T) {
	d := devicetest.H200(t)
	const rows, vocab = 64, 128256
	bounds := devicetest.Bounds{TemporaryBytes: 4 * rows * vocab * 4}
	for _, v := range []variant{{rows: rows}, {rows: rows, topK: true, topP: true}, {rows: rows, topP: true, edits: editBuckets[0], mask: (vocab + 31) / 32, topN: true}} {
		devicetest.Check(t, d, v.spec(vocab), bounds)
	}
	devicetest.Check(t, d, scoring{rows: rows}.spec(vocab), bounds)
}
