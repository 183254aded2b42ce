package device

import (
	"fmt"

	"astro/internal/device/interposer"
)

// Chip is one processor that a backend computes on.
type Chip struct {
	Model      string // such as "NVIDIA H100 80GB HBM3"
	Capability string // compute capability of a GPU, such as "9.0"; "" = not told
	LimitBytes int64  // of its memory that this process may use; 0 = not told
	UsedBytes  int64  // of LimitBytes now
}

// Chips describes the processors of an XLA device, in the order of their numbers; Go has none to tell of.
func (d *Device) Chips() ([]Chip, error) {
	if d.kind == Go {
		return nil, nil
	}
	found, err := interposer.Devices(clientName(d.kind))
	if err != nil {
		return nil, fmt.Errorf("describe backend %s: %w", d.kind, err)
	}
	var all []Chip
	for _, f := range found {
		all = append(all, Chip{Model: f.Kind, Capability: f.Attributes["compute_capability"], LimitBytes: f.Memory.Limit, UsedBytes: f.Memory.Used})
	}
	return all, nil
}

// FreeBytes is the memory that programs may still take on the first chip. It is an error where the backend does not tell.
func (d *Device) FreeBytes() (int64, error) {
	chips, err := d.Chips()
	if err != nil {
		return 0, err
	}
	if len(chips) == 0 || chips[0].LimitBytes == 0 {
		return 0, fmt.Errorf("backend %s does not tell how much memory its device has", d.kind)
	}
	return chips[0].LimitBytes - chips[0].UsedBytes, nil
}
