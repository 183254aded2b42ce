package checkpoint

import (
	"fmt"
	"path/filepath"
	"slices"

	"astro/model"
	"astro/model/safetensors"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"
)

// adapterName is the file of an Adapter's tensors.
const adapterName = "adapter.safetensors"

// Adapter is a change of low rank that is trained in place of the weights (Hu et al., arXiv 2106.09685): of each of its matrices
// W + Alpha/Rank A B is served, and that is what the folder has as a model, so that who reads it as one need not know of the Adapter.
type Adapter struct {
	Rank     int      `json:"rank"`
	Alpha    float64  `json:"alpha"`
	Seed     uint64   `json:"seed"`     // of A
	Matrices []string `json:"matrices"` // names in model.Layout, in its order

	Factors []*tensors.Tensor `json:"-"` // A [in, Rank] and B [Rank, out] of each matrix in turn, f32
}

// Specs are the matrices that the Adapter changes, with their places in c's Layout, and the factors of each in turn.
func (a *Adapter) Specs(c model.Config) (at []int, matrices, factors []model.TensorSpec, err error) {
	for i, s := range model.Layout(c) {
		if !slices.Contains(a.Matrices, s.Name) {
			continue
		}
		if len(s.Dims) != 2 || a.Rank < 1 || a.Rank > min(s.Dims[0], s.Dims[1]) {
			return nil, nil, nil, fmt.Errorf("the adapter has rank %d; want a matrix and 1 to its smaller side, %s is %v", a.Rank, s.Name, s.Dims)
		}
		at, matrices = append(at, i), append(matrices, s)
		factors = append(factors, model.TensorSpec{Name: s.Name + "_a", Dims: []int{s.Dims[0], a.Rank}},
			model.TensorSpec{Name: s.Name + "_b", Dims: []int{a.Rank, s.Dims[1]}})
	}
	if len(at) == 0 || len(at) != len(a.Matrices) {
		return nil, nil, nil, fmt.Errorf("the adapter changes %d matrices, of which the model has %d", len(a.Matrices), len(at))
	}
	return at, matrices, factors, nil
}

// trained are the tensors that the moments belong to.
func trained(c model.Config, a *Adapter) ([]model.TensorSpec, error) {
	if a == nil {
		return model.Layout(c), nil
	}
	_, _, factors, err := a.Specs(c)
	return factors, err
}

// write puts the factors into a checkpoint, and the matrices as they were.
func (a *Adapter) write(dir string, w *model.Weights) error {
	at, matrices, factors, err := a.Specs(w.Config)
	if err != nil {
		return err
	}
	var entries []safetensors.Entry
	for i, s := range factors {
		entries = append(entries, entry(s.Name, s.Dims, a.Factors[i]))
	}
	for i, s := range matrices {
		entries = append(entries, entry(basePrefix+s.Name, s.Dims, w.Tensors[at[i]]))
	}
	return safetensors.WriteFile(filepath.Join(dir, adapterName), entries, nil)
}

// basePrefix comes before the names of matrices as they were.
const basePrefix = "base."

// read takes the factors from a checkpoint, and the matrices as they were in place of those that are served.
func (a *Adapter) read(dir string, w *model.Weights, backend compute.Backend, dtype dtypes.DType) error {
	at, matrices, factors, err := a.Specs(w.Config)
	if err != nil {
		return err
	}
	f, err := safetensors.OpenFile(filepath.Join(dir, adapterName))
	if err != nil {
		return err
	}
	defer f.Close()
	if a.Factors, err = readTensors(f, adapterName, factors); err != nil {
		return err
	}
	for j, s := range named(basePrefix, matrices) {
		t, err := find(f, adapterName, s, safetensors.F32, safetensors.BF16)
		if err != nil {
			return err
		}
		was, err := model.Upload(s, backend, dtype, t.Floats)
		if err != nil {
			return err
		}
		w.Tensors[at[j]].MustFinalizeAll()
		w.Tensors[at[j]] = was
	}
	return nil
}

// named are specs with a prefix before their names.
func named(prefix string, specs []model.TensorSpec) []model.TensorSpec {
	var all []model.TensorSpec
	for _, s := range specs {
		all = append(all, model.TensorSpec{Name: prefix + s.Name, Dims: s.Dims})
	}
	return all
}
