package interposer

// #include <stdlib.h>
// #include "abi.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// TargetDevices is how many of a Target's devices one program may run on.
const TargetDevices = 8

// Target is a device to compile for that is not in this machine. Programs compiled for it cannot run here.
type Target struct {
	name   string
	handle unsafe.Pointer
}

// errOnTarget is how a compilation for a target ends for go-xla, which wants an executable: there is none that it could load. Whoever
// asked for it was told through Rewritten.Done.
var errOnTarget = errors.New("compiled for a device that is not here")

// OpenTarget loads a plugin to compile for the device that config describes, a GpuTargetConfigProto as text. It needs ptxas and libdevice
// beside the plugin, but neither a driver nor a device.
func OpenTarget(name, plugin, config string) (*Target, error) {
	path, text, shape := C.CString(plugin), C.CString(config), C.CString(fmt.Sprintf("1x1x%d", TargetDevices))
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(text))
	defer C.free(unsafe.Pointer(shape))
	t := &Target{name: name}
	if err := message(C.interposer_target(path, text, shape, &t.handle)); err != nil {
		return nil, fmt.Errorf("describe %s to PJRT plugin %s: %w", name, plugin, err)
	}
	return t, nil
}

// targetOptions is a CompileOptionsProto: executable_build_options (3) with device_ordinal (1) -1, num_replicas (4), num_partitions (5) 1.
func targetOptions(devices int) []byte {
	var build []byte
	for field, value := range map[protowire.Number]int64{1: -1, 4: int64(devices), 5: 1} {
		build = protowire.AppendVarint(protowire.AppendTag(build, field, protowire.VarintType), uint64(value))
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), build)
}

// compile compiles StableHLO text that so many devices run.
func (t *Target) compile(text string, devices int) (Compiled, error) {
	proto := targetOptions(devices)
	code, options := C.CString(text), C.CBytes(proto)
	defer C.free(unsafe.Pointer(code))
	defer C.free(options)
	var m C.Executable_GetCompiledMemoryStats_Args
	var bytes *C.char
	var size C.size_t
	err := message(C.interposer_target_compile(t.handle, code, C.size_t(len(text)), (*C.char)(options), C.size_t(len(proto)), &m, &bytes, &size))
	defer C.free(unsafe.Pointer(bytes))
	if err != nil {
		return Compiled{}, fmt.Errorf("compile for %s: %w", t.name, err)
	}
	return Compiled{Memory: memoryFrom(&m), Optimized: C.GoBytes(unsafe.Pointer(bytes), C.int(size))}, nil
}
