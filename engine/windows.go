package engine

import (
	"fmt"

	"astro/internal/device"
	"astro/kernels"
	"astro/model/llama"

	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// The go backend gathers an element at a time, which took most of a decode step. There, what decodes attend to is kept twice: in the pools,
// and for each line of the batch side by side in a window. The host, which sees both, copies the pages that a window lacks: none in most
// steps. Programs write new keys and values to windows, and the host takes them over into the pools.

// windowed says whether a Bucket's program runs on windows.
func (f *forward) windowed(b Bucket) bool {
	if b.Tokens > 1 || b.Score || b.Embed {
		return false
	}
	return int64(2*f.config.Layers)*int64(f.windowShape(b).Memory()) <= f.windowBytes
}

// windowShape is [seqs*kvHeads, positions, headDim], for a product in a batch with it then needs no other view, which the go backend copies.
func (f *forward) windowShape(b Bucket) shapes.Shape {
	return shapes.Make(f.kvType, b.Seqs*f.config.KVHeads, b.Pages*f.pageTokens, f.config.HeadDim)
}

// windowParams are the K and V window of every layer, updated by the outputs from first on.
func (f *forward) windowParams(b Bucket, first int) []device.Param {
	var params []device.Param
	for i := range 2 * f.config.Layers {
		params = append(params, device.Param{Name: fmt.Sprintf("window%d", i), Shape: f.windowShape(b), Alias: first + i})
	}
	return params
}

// buildWindowed is build of a decode on windows in place of pools.
func (f *forward) buildWindowed(b Bucket, in []*Node) []*Node {
	batch, cos, sin := in[0], in[1], in[2]
	head, weights, windows := f.graphParams(in[3:])
	cut := func(from int) *Node { return SliceAxis(batch, 1, AxisRange(from, from+1)) }
	tokens, positions, slots := cut(0), cut(1), cut(2)
	written := Reshape(Where(GreaterOrEqual(slots, ZerosLike(slots)), positions, slots), -1) // -1 = padding
	attend := func(layer int, q, k, v *Node) *Node {
		for i, rows := range []*Node{k, v} {
			windows[2*layer+i] = kernels.WindowWrite(windows[2*layer+i], written, f.storable(rows))
		}
		return kernels.WindowAttention(q, windows[2*layer], windows[2*layer+1], positions, llama.Scale(f.config))
	}
	hidden := llama.Forward(f.config, weights, tokens, positions, cos, sin, attend)
	return append([]*Node{llama.Logits(head, Reshape(hidden, -1, f.config.Hidden))}, windows...)
}

// windows mirror pages of the pools. Only the engine's goroutine touches them.
type windows struct {
	bucket  Bucket
	tensors []*tensors.Tensor // K and V of layer 0, ...; nil = none
	held    [][]mirrored      // of each line of the batch, its pages in order
	writes  []int64           // of each page so far
}

// mirrored is a page as it was after so many writes.
type mirrored struct {
	page   int32
	writes int64
}

// wrote says that pages have changed in the pools.
func (w *windows) wrote(pages ...int32) {
	for _, p := range pages {
		w.writes[p]++
	}
}

// drop frees the windows.
func (w *windows) drop() {
	freeAll(w.tensors)
	w.tensors, w.held, w.bucket = nil, nil, Bucket{}
}

// shape makes empty windows for a Bucket, if those that are there are others.
func (w *windows) shape(r *DeviceRunner, b Bucket) error {
	if w.tensors != nil && w.bucket == b {
		return nil
	}
	w.drop()
	for range 2 * r.forward.config.Layers {
		t, err := tensors.FromShapeForBackend(r.device.Backend(), 0, r.forward.windowShape(b))
		if err != nil {
			w.drop()
			return fmt.Errorf("make windows of %v: %w", b, err)
		}
		w.tensors = append(w.tensors, t)
	}
	w.bucket, w.held = b, make([][]mirrored, b.Seqs)
	return nil
}

// place orders rows so that those that decoded before are on the lines where their pages are.
func (w *windows) place(all []Row, list []int, pageTokens int) []int {
	placed, rest := make([]int, len(list)), list[:0:0]
	for i := range placed {
		placed[i] = -1
	}
	for _, i := range list {
		if line := w.lineOf(&all[i], pageTokens, placed); line >= 0 {
			placed[line] = i
		} else {
			rest = append(rest, i)
		}
	}
	for line := range placed {
		if placed[line] < 0 {
			placed[line], rest = rest[0], rest[1:]
		}
	}
	return placed
}

// lineOf is the free line that mirrors a row's last full or begun page; -1 = none.
func (w *windows) lineOf(row *Row, pageTokens int, placed []int) int {
	if row.Start == 0 {
		return -1
	}
	at := (row.Start - 1) / pageTokens
	for line := range min(len(placed), len(w.held)) {
		if placed[line] < 0 && len(w.held[line]) > at && w.held[line][at] == w.now(row.Pages[at]) {
			return line
		}
	}
	return -1
}

func (w *windows) now(page int32) mirrored { return mirrored{page, w.writes[page]} }

// stepOnWindows is step of a windowed Bucket. Line i of the result belongs to list[i].
func (r *DeviceRunner) stepOnWindows(b Bucket, p *device.Program, policy *published, all []Row, list []int) ([]*tensors.Tensor, error) {
	if err := r.fillWindows(b, all, list); err != nil {
		return nil, err
	}
	batch := tensors.FromFlatDataAndDimensions(r.pack(b, all, list), b.Seqs, b.batchWidth())
	defer batch.FinalizeAll()
	out, err := r.timed(p, r.arrange([]*tensors.Tensor{batch}, r.ropes, policy.args, r.windows.tensors))
	if err != nil {
		r.windows.drop()
		return nil, fmt.Errorf("run %v: %w", b, err)
	}
	copy(r.windows.tensors, out[1:])
	if err := r.storeRows(b, all, list); err != nil {
		freeAll(out[:1])
		return nil, err
	}
	return out[:1], nil
}

// fillWindows copies what the rows' lines lack.
func (r *DeviceRunner) fillWindows(b Bucket, all []Row, list []int) error {
	w := &r.windows
	if err := w.shape(r, b); err != nil {
		return err
	}
	for line, i := range list {
		pages := all[i].Pages
		for len(w.held[line]) < len(pages) {
			w.held[line] = append(w.held[line], mirrored{page: -1})
		}
		for at, page := range pages {
			if want := w.now(page); w.held[line][at] != want {
				if err := r.eachWindow(func(pool, window []byte) { r.copyPage(b, pool, window, line, at, int(page)) }); err != nil {
					return err
				}
				w.held[line][at] = want
			}
		}
	}
	return nil
}

// copyPage copies a page, of every head, to its place in a line of a window.
func (r *DeviceRunner) copyPage(b Bucket, pool, window []byte, line, at, page int) {
	heads, size := r.forward.config.KVHeads, r.pageHeadBytes()
	for h := range heads {
		to := ((line*heads+h)*b.Pages + at) * size
		copy(window[to:to+size], pool[(page*heads+h)*size:])
	}
}

// pageHeadBytes is the size of one head's part of a page.
func (r *DeviceRunner) pageHeadBytes() int {
	return r.config.PageTokens * r.forward.config.HeadDim * r.forward.kvType.Size()
}

// storeRows copies the keys and values of the tokens that were fed from the windows into the pools, which then agree again.
func (r *DeviceRunner) storeRows(b Bucket, all []Row, list []int) error {
	heads, size := r.forward.config.KVHeads, r.pageHeadBytes()
	row := size / r.config.PageTokens
	err := r.eachWindow(func(pool, window []byte) {
		for line, i := range list {
			at, offset := all[i].Start/r.config.PageTokens, all[i].Start%r.config.PageTokens*row
			for h := range heads {
				from := ((line*heads+h)*b.Pages+at)*size + offset
				copy(pool[(int(all[i].Pages[at])*heads+h)*size+offset:][:row], window[from:])
			}
		}
	})
	for line, i := range list {
		at := all[i].Start / r.config.PageTokens
		r.windows.wrote(all[i].Pages[at])
		r.windows.held[line][at] = r.windows.now(all[i].Pages[at])
	}
	return err
}

// eachWindow calls do for every pool and its window.
func (r *DeviceRunner) eachWindow(do func(pool, window []byte)) error {
	for i, t := range r.windows.tensors {
		pool, err := r.device.HostBytes(r.pools[i])
		if err != nil {
			return fmt.Errorf("look at pool %d: %w", i, err)
		}
		window, err := r.device.HostBytes(t)
		if err != nil {
			return fmt.Errorf("look at window %d: %w", i, err)
		}
		do(pool, window)
	}
	return nil
}
