package main

import "astro/internal/device"

// memory is how many sets of weights the device must hold, and the bytes that training needs there besides.
func (l *learnFlags) memory(b *backend, kind device.Kind) (sets int, trainingBytes int64) {
	if l.store == "" && l.learn == "" {
		return 1, 0
	}
	sets = 1 + l.keepLoaded
	if l.learn == "" {
		return sets, 0
	}
	trainingBytes = l.settingsOn(b, kind).Memory(kind, b.config)
	if b.int8 {
		trainingBytes += b.config.WeightBytes(b.dtype) // a candidate before it is rounded
	}
	return sets + 1, trainingBytes // and a candidate
}
