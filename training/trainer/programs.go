package trainer

import (
	"fmt"
	"strings"

	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
)

// Parameters come in groups of n tensors each, n being the number of those that are trained: weights or factors, first moments, second
// moments, accumulated gradients. Updated groups are outputs in the same order, so that each is updated in place. Where factors are
// trained, the weights, which are frozen, are a group of their own.

// trainParams lists what is trained; the first is updated by output from, or none if from is negative.
func (t *Trainer) trainParams(from int) []device.Param {
	if t.adapter != nil {
		return params("f", t.trained, from)
	}
	return params("w", t.trained, from)
}

// frozenParams are for the weights beside factors.
func (t *Trainer) frozenParams() []device.Param {
	if t.adapter == nil {
		return nil
	}
	return paramsAs(t.config.DType(), "w", t.layout, -1)
}

// withFrozen takes the weights off the front of in, unless they are what is trained.
func (t *Trainer) withFrozen(trained, in []*Node) (w weightNodes, rest []*Node) {
	if t.adapter == nil {
		return weightNodes{tensors: trained}, in
	}
	return weightNodes{in[:len(t.layout)], t.changes(trained)}, in[len(t.layout):]
}

// params lists a group's f32 parameters; the first is updated by output from, or none if from is negative.
func params(group string, specs []model.TensorSpec, from int) []device.Param {
	return paramsAs(dtypes.Float32, group, specs, from)
}

// paramsAs are params whose matrices are of a dtype.
func paramsAs(dtype dtypes.DType, group string, specs []model.TensorSpec, from int) []device.Param {
	var list []device.Param
	for i, s := range specs {
		p := device.Param{Name: group + "_" + s.Name, Shape: s.Shape(dtype), Alias: -1}
		if from >= 0 {
			p.Alias = from + i
		}
		list = append(list, p)
	}
	return list
}

func (t *Trainer) batchParams(rows, tokens int) []device.Param {
	var list []device.Param
	for _, name := range []string{"inputs", "targets", "positions", "segments"} {
		list = append(list, device.Param{Name: name, Shape: shapes.Make(dtypes.Int32, rows, tokens), Alias: -1})
	}
	for _, name := range append([]string{"loss_weights"}, t.loss.Columns...) {
		list = append(list, device.Param{Name: name, Shape: shapes.Make(dtypes.Float32, rows, tokens), Alias: -1})
	}
	for _, name := range []string{"cos", "sin"} {
		list = append(list, device.Param{Name: name, Shape: t.cos.Shape(), Alias: -1})
	}
	return list
}

func hyperParam() device.Param {
	return device.Param{Name: "hyper", Shape: shapes.Make(dtypes.Float32, numHyper), Alias: -1}
}

// stepSpec is a whole step in one program: forward, backward, AdamW. Outputs: what is trained, m, v, what the Loss told, gradient norm.
func (t *Trainer) stepSpec(rows, tokens int) device.Spec {
	n := len(t.trained)
	all := join(t.trainParams(0), params("m", t.trained, n), params("v", t.trained, 2*n), t.frozenParams(), t.batchParams(rows, tokens), []device.Param{hyperParam()})
	return device.Spec{Name: t.programName("train_step", rows, tokens), Params: all, Build: func(in []*Node) []*Node {
		trained, m, v := in[:n], in[n:2*n], in[2*n:3*n]
		weights, rest := t.withFrozen(trained, in[3*n:])
		batch, rest := batchOf(rest, len(t.loss.Columns))
		hyper := rest[0]
		loss, told := t.loss.told(t.model, t.config, weights, batch, hyperAt(hyper, 0))
		grads := Gradient(loss, trained...)
		norm := globalNorm(grads)
		return append(t.update(trained, m, v, grads, norm, hyper), told, norm)
	}}
}

// gradSpec is the gradient of one micro-batch, added to what was accumulated before. Outputs: gradients, what the Loss told, norm of
// the gradients so far.
func (t *Trainer) gradSpec(rows, tokens int, first bool) device.Spec {
	n := len(t.trained)
	all := join(t.trainParams(-1), t.frozenParams(), t.batchParams(rows, tokens), []device.Param{hyperParam()})
	name := "train_grad_first"
	if !first {
		all, name = join(all, params("acc", t.trained, 0)), "train_grad"
	}
	return device.Spec{Name: t.programName(name, rows, tokens), Params: all, Build: func(in []*Node) []*Node {
		weights, rest := t.withFrozen(in[:n], in[n:])
		batch, rest := batchOf(rest, len(t.loss.Columns))
		hyper, acc := rest[0], rest[1:]
		loss, told := t.loss.told(t.model, t.config, weights, batch, hyperAt(hyper, 0))
		grads := Gradient(loss, in[:n]...)
		for i := range acc {
			grads[i] = Add(grads[i], acc[i]) // in the memory of acc: see adamW
		}
		return append(grads, told, globalNorm(grads))
	}}
}

func (t *Trainer) programName(what string, rows, tokens int) string {
	return fmt.Sprintf("%s_%s_%dx%d", what, t.loss.Name, rows, tokens)
}

// applySpec is AdamW on accumulated gradients. Outputs: what is trained, m, v.
func (t *Trainer) applySpec() device.Spec {
	n := len(t.trained)
	all := join(t.trainParams(0), params("m", t.trained, n), params("v", t.trained, 2*n), params("acc", t.trained, -1), []device.Param{hyperParam()})
	return device.Spec{Name: "train_apply", Params: all, Build: func(in []*Node) []*Node {
		grads := in[3*n : 4*n]
		return t.update(in[:n], in[n:2*n], in[2*n:3*n], grads, globalNorm(grads), in[4*n])
	}}
}

// update clips and applies gradients. Outputs: what is trained, m, v.
func (t *Trainer) update(trained, m, v, grads []*Node, norm, hyper *Node) []*Node {
	n := len(trained)
	grads = clip(grads, norm, t.config.ClipNorm)
	out := make([]*Node, 3*n, 3*n+2)
	for i, s := range t.trained {
		out[i], out[n+i], out[2*n+i] = t.config.adamW(trained[i], m[i], v[i], grads[i], hyper, !s.Norm())
	}
	return out
}

// scoreSpec gives the log-probabilities [rows*tokens] f32 of a batch's targets under what is trained.
func (t *Trainer) scoreSpec(rows, tokens int) device.Spec {
	n := len(t.trained)
	all := join(t.trainParams(-1), t.frozenParams(), t.batchParams(rows, tokens))
	return device.Spec{Name: t.programName("train_score", rows, tokens), Params: all, Build: func(in []*Node) []*Node {
		weights, rest := t.withFrozen(in[:n], in[n:])
		return t.score(weights, rest)
	}}
}

// scoreUnderSpec is scoreSpec under weights of a dtype.
func (t *Trainer) scoreUnderSpec(dtype dtypes.DType, rows, tokens int) device.Spec {
	n := len(t.layout)
	all := join(paramsAs(dtype, "w", t.layout, -1), t.batchParams(rows, tokens))
	name := "train_score_under_" + strings.ToLower(dtype.String())
	return device.Spec{Name: t.programName(name, rows, tokens), Params: all, Build: func(in []*Node) []*Node {
		return t.score(weightNodes{tensors: in[:n]}, in[n:])
	}}
}

func (t *Trainer) score(w weightNodes, in []*Node) []*Node {
	batch, _ := batchOf(in, len(t.loss.Columns))
	scores, _ := logprobs(t.model, Config{HeadChunkTokens: t.config.HeadChunkTokens, Compute: t.config.Compute}, w, batch)
	return []*Node{scores}
}

// copySpec copies the weights on the device as they are served, with the matrices as dtype.
func (t *Trainer) copySpec(dtype dtypes.DType) device.Spec {
	name := "train_snapshot"
	if dtype != dtypes.Float32 {
		name = "train_snapshot_half"
	}
	n := len(t.trained)
	return device.Spec{Name: name, Params: join(t.trainParams(-1), t.frozenParams()), Build: func(in []*Node) []*Node {
		w, _ := t.withFrozen(in[:n], in[n:])
		return copies(t.layout, dtype, w)
	}}
}

// copies are weights as dtype, with what changes them.
func copies(layout []model.TensorSpec, dtype dtypes.DType, w weightNodes) []*Node {
	out := make([]*Node, len(layout))
	for i, s := range layout {
		out[i] = Identity(w.tensors[i])
		if change, ok := w.changes[i]; ok {
			out[i] = change.AddedTo(w.tensors[i])
		}
		if !s.Norm() {
			out[i] = ConvertDType(out[i], dtype)
		}
	}
	return out
}

// program compiles a Spec at its first use.
func (t *Trainer) program(s device.Spec) (*device.Program, error) {
	if p := t.programs[s.Name]; p != nil {
		return p, nil
	}
	p, err := t.device.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("cannot compile for training: %w", err)
	}
	t.programs[s.Name] = p
	return p, nil
}

func join(lists ...[]device.Param) []device.Param {
	var all []device.Param
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
