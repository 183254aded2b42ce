package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"astro/model/safetensors"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/dtypes/bfloat16"
	"github.com/gomlx/gomlx/core/tensors"
)

// Save writes w as a Hugging Face folder at dir, which must not exist yet: it is written beside it under another name, synced and
// renamed, so that dir appears whole or not at all. See SaveFiles for what it holds.
func Save(dir string, w *Weights, dtype dtypes.DType) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving model: %w", err)
		}
	}()
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already; remove it or choose another name", dir)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary) // nothing is there any more after the rename
	if err := os.Chmod(temporary, 0o755); err != nil {
		return err
	}
	if err := SaveFiles(temporary, w, dtype); err != nil {
		return err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return err
	}
	return safetensors.SyncDir(filepath.Dir(dir))
}

// SaveFiles writes config.json, generation_config.json and model.safetensors into an existing folder and syncs them. All tensors
// are stored as dtype (Float32 or BFloat16), as transformers does. Load and transformers read the folder; it has no tokenizer.
// Only one tensor at a time is copied from the device.
func SaveFiles(dir string, w *Weights, dtype dtypes.DType) error {
	if w.Int8() {
		panic("BUG: got weights of 8 bits to save; want those that they were made of")
	}
	return SaveEach(dir, w.Config, dtype, func(at int, use func(*tensors.Tensor) error) error { return use(w.Tensors[at]) })
}

// SaveEach is SaveFiles of tensors that need not be there all at once: each hands use the one at a place in the Layout, once for each of its
// parts.
func SaveEach(dir string, c Config, dtype dtypes.DType, each func(at int, use func(*tensors.Tensor) error) error) error {
	mustBeWeightType(dtype)
	stored := map[dtypes.DType]safetensors.DType{dtypes.Float32: safetensors.F32, dtypes.BFloat16: safetensors.BF16}[dtype]
	var entries []safetensors.Entry
	for i, s := range Layout(c) {
		entries = append(entries, specEntries(s, stored, func(use func(*tensors.Tensor) error) error { return each(i, use) })...)
	}
	err := safetensors.WriteFile(filepath.Join(dir, safetensors.SingleName), entries, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	if err := writeDurable(filepath.Join(dir, configName), encodeConfig(c, dtype)); err != nil {
		return err
	}
	if err := writeDurable(filepath.Join(dir, generationName), encodeGeneration(c)); err != nil {
		return err
	}
	return safetensors.SyncDir(dir)
}

func writeDurable(path string, text []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// specEntries are the checkpoint's tensors inside one of ours. The last of them to be written lets the host copy go.
func specEntries(s TensorSpec, stored safetensors.DType, tensor func(use func(*tensors.Tensor) error) error) []safetensors.Entry {
	var entries []safetensors.Entry
	column := 0
	for i, p := range s.Parts {
		from, last := column, i == len(s.Parts)-1
		column += p.Dims[0]
		entries = append(entries, safetensors.Entry{Name: p.Name, DType: stored, Dims: p.Dims, Write: func(w io.Writer) error {
			return tensor(func(x *tensors.Tensor) error {
				err := readHost(x, func(values reader) error { return writePart(w, s, p, from, values, stored) })
				if last && x.IsOnAnyDevice() {
					x.FinalizeLocal()
				}
				return err
			})
		}})
	}
	return entries
}

// reader copies the elements from at on into values.
type reader func(at int, values []float32)

// readHost calls use with the values of x, copied from the device where the host cannot see its memory.
func readHost(x *tensors.Tensor, use func(reader) error) error {
	var used error
	err := x.ConstFlatData(func(flat any) {
		switch flat := flat.(type) {
		case []float32:
			used = use(func(at int, values []float32) { copy(values, flat[at:]) })
		case []bfloat16.BFloat16:
			used = use(func(at int, values []float32) {
				for i := range values {
					values[i] = flat[at+i].Float32()
				}
			})
		default:
			panic(fmt.Sprintf("BUG: weights got %T; want float32 or bfloat16", flat))
		}
	})
	return errors.Join(err, used)
}

// writePart writes the tensor p of the checkpoint: as it is, or the columns of s from the given one on, turned back to [out, in].
func writePart(w io.Writer, s TensorSpec, p Part, column int, values reader, stored safetensors.DType) error {
	if !s.Transposed() {
		return writeRuns(w, s.Len(), values, stored)
	}
	out, in, width := p.Dims[0], p.Dims[1], s.Dims[1]
	tile, line := make([]float32, tileRows*in), make([]float32, tileRows)
	for top := 0; top < out; top += tileRows {
		rows := min(tileRows, out-top)
		for i := range in {
			values(i*width+column+top, line[:rows])
			for r, v := range line[:rows] {
				tile[r*in+i] = v
			}
		}
		if _, err := w.Write(encode(tile[:rows*in], stored)); err != nil {
			return err
		}
	}
	return nil
}

func writeRuns(w io.Writer, n int, values reader, stored safetensors.DType) error {
	run := make([]float32, runValues)
	for from := 0; from < n; from += runValues {
		run = run[:min(runValues, n-from)]
		values(from, run)
		if _, err := w.Write(encode(run, stored)); err != nil {
			return err
		}
	}
	return nil
}

// encode gives values as the bytes of a file, rounded to its type.
func encode(values []float32, stored safetensors.DType) []byte {
	out := make([]byte, 0, len(values)*stored.Size())
	for _, v := range values {
		if stored == safetensors.BF16 {
			out = binary.LittleEndian.AppendUint16(out, safetensors.ToBF16(v))
		} else {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out
}
