package engine

import (
	"fmt"

	"astro/internal/device"
	"astro/model"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
)

// ShareModel is the Config of what each device has when a model is spread over so many. An error says what the device or the model does not
// allow.
func ShareModel(d *device.Device, whole model.Config, devices int) (model.Config, error) {
	if err := d.CheckCount(devices); err != nil {
		return model.Config{}, fmt.Errorf("spread the model over devices: %w", err)
	}
	return whole.Share(devices)
}

// onEach makes a tensor of the same data for each device.
func (r *DeviceRunner) onEach(data []int32, dims ...int) []*tensors.Tensor {
	list := make([]*tensors.Tensor, r.forward.devices)
	for d := range list {
		list[d] = tensors.FromFlatDataAndDimensions(data, dims...)
	}
	return list
}

// of is a device's part of a list that holds as many for each.
func (r *DeviceRunner) of(d int, list []*tensors.Tensor) []*tensors.Tensor {
	n := len(list) / r.forward.devices
	return list[d*n : (d+1)*n]
}

// arrange joins lists that hold the first device's tensors, then the second's, and so on, to one that does.
func (r *DeviceRunner) arrange(lists ...[]*tensors.Tensor) []*tensors.Tensor {
	n := 0
	for _, list := range lists {
		n += len(list)
	}
	all := make([]*tensors.Tensor, 0, n)
	for d := range r.forward.devices {
		for _, list := range lists {
			all = append(all, r.of(d, list)...)
		}
	}
	return all
}

// makeShares puts on each device its part of a Policy's weights behind its part of the head. The Policy's own tensors are only read, and best
// kept in the host's memory (model.Load without a backend).
func (r *DeviceRunner) makeShares(p *model.Policy) (*published, error) {
	made := &published{policy: p}
	heads, err := r.shareHead(p.Weights)
	if err == nil {
		made.made, err = r.shareTensors(p.Weights)
	}
	if err != nil {
		freeAll(heads)
		freeAll(made.made)
		return nil, fmt.Errorf("spread the weights over %d devices: %w", r.forward.devices, err)
	}
	if p.Weights.Config.TiedHead {
		made.args = r.arrange(heads, made.made)
		made.made = made.args
		return made, nil
	}
	for d := range r.forward.devices {
		share := r.of(d, made.made)
		made.args = append(append(made.args, share[2]), share...)
	}
	return made, nil
}

// shareHead makes each device's head [hidden, vocab/n] of an embedding that is the head too; nil where the head is a tensor of its own.
func (r *DeviceRunner) shareHead(w *model.Weights) ([]*tensors.Tensor, error) {
	if !w.Config.TiedHead {
		return nil, nil
	}
	rows, err := r.cut(w.Tensors[0], r.forward.turnSpec().Params[0].Shape, func(values []byte, d int) []byte {
		return model.ShareOfRows(values, d, r.forward.devices)
	})
	defer freeAll(rows)
	if err != nil {
		return nil, err
	}
	return r.once(r.forward.turnSpec(), rows...)
}

// shareTensors makes each device's tensors in the order of model.Layout. On an error what was made is returned too.
func (r *DeviceRunner) shareTensors(w *model.Weights) ([]*tensors.Tensor, error) {
	specs := model.Layout(w.Config)
	all := make([][]*tensors.Tensor, len(specs))
	for i, s := range specs {
		var err error
		all[i], err = r.cut(w.Tensors[i], r.forward.weights[i], func(values []byte, d int) []byte {
			return s.ShareOf(values, r.forward.weights[i].DType.Size(), d, r.forward.devices)
		})
		if err != nil {
			for _, made := range all {
				freeAll(made)
			}
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return r.arrange(all...), nil
}

// cut makes a tensor on each device of what share takes of a whole one. On an error what was made is returned too.
func (r *DeviceRunner) cut(whole *tensors.Tensor, part shapes.Shape, share func(values []byte, d int) []byte) (made []*tensors.Tensor, err error) {
	wasLocal := whole.IsLocal()
	failed := whole.ConstBytes(func(values []byte) {
		for d := range r.forward.devices {
			var t *tensors.Tensor
			if t, err = tensors.FromRaw(r.device.Backend(), compute.DeviceNum(d), part, share(values, d)); err != nil {
				return
			}
			made = append(made, t)
		}
	})
	if failed != nil {
		err = failed
	}
	if !wasLocal && whole.IsOnAnyDevice() {
		whole.FinalizeLocal() // what reading it left on the host
	}
	return made, err
}
