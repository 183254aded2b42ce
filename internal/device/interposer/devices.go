package interposer

// #include "abi.h"
import "C"

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"
)

// Device is one processor of a client, as its plugin describes it.
type Device struct {
	Kind       string            // its model, such as "NVIDIA H100 80GB HBM3"
	Attributes map[string]string // numbers and texts, such as compute_capability
	Memory     DeviceMemory
}

// DeviceMemory is what the plugin's allocator of one device says of itself, in bytes; zeros where it says nothing.
type DeviceMemory struct {
	Limit int64 // that it may take of the device
	Used  int64 // of Limit
	Peak  int64 // the most that was used so far
}

// Devices describes the devices of the newest client of the plugin that was registered under name.
func Devices(name string) ([]Device, error) {
	slot, err := slotOf(name)
	if err != nil {
		return nil, err
	}
	client := C.interposer_client(slot)
	if client == nil {
		return nil, fmt.Errorf("PJRT plugin %q has no client", name)
	}
	return devicesOf(slot, client)
}

func slotOf(name string) (C.int, error) {
	mu.Lock()
	defer mu.Unlock()
	i := slices.IndexFunc(slots, func(r *registered) bool { return r.Name == name })
	if i < 0 {
		return 0, fmt.Errorf("PJRT plugin %q is not registered", name)
	}
	return C.int(i), nil
}

func devicesOf(slot C.int, client unsafe.Pointer) ([]Device, error) {
	var list C.Client_AddressableDevices_Args
	if err := message(C.interposer_devices(slot, client, &list)); err != nil {
		return nil, fmt.Errorf("list the devices of a client: %w", err)
	}
	if list.num_addressable_devices == 0 {
		return nil, nil
	}
	var all []Device
	for _, pointer := range unsafe.Slice(list.addressable_devices, int(list.num_addressable_devices)) {
		d, err := describe(slot, pointer)
		if err != nil {
			return nil, fmt.Errorf("describe device %d of a client: %w", len(all), err)
		}
		all = append(all, d)
	}
	return all, nil
}

func describe(slot C.int, device unsafe.Pointer) (Device, error) {
	var kind C.DeviceDescription_Kind_Args
	var attributes C.DeviceDescription_Attributes_Args
	if err := message(C.interposer_description(slot, device, &kind, &attributes)); err != nil {
		return Device{}, err
	}
	d := Device{Kind: C.GoStringN(kind.device_kind, C.int(kind.device_kind_size)), Attributes: map[string]string{}}
	if attributes.num_attributes > 0 {
		for _, a := range unsafe.Slice(attributes.attributes, int(attributes.num_attributes)) {
			name := C.GoStringN(a.name, C.int(a.name_size))
			switch value := unsafe.Pointer(&a.anon0); a._type {
			case C.NAMED_STRING:
				d.Attributes[name] = C.GoStringN(*(**C.char)(value), C.int(a.value_size))
			case C.NAMED_INT64:
				d.Attributes[name] = fmt.Sprint(*(*int64)(value))
			}
		}
	}
	var m C.Device_MemoryStats_Args
	if message(C.interposer_device_memory(slot, device, &m)) == nil { // plugins need not know it
		d.Memory = memoryFigures(&m)
	}
	return d, nil
}

func memoryFigures(m *C.Device_MemoryStats_Args) DeviceMemory {
	figures := DeviceMemory{Used: int64(m.bytes_in_use)}
	if m.bytes_limit_is_set {
		figures.Limit = int64(m.bytes_limit)
	}
	if m.peak_bytes_in_use_is_set {
		figures.Peak = int64(m.peak_bytes_in_use)
	}
	return figures
}

// models names what executables are compiled for: the kind of each device and its instruction set.
func models(all []Device) string {
	var names []string
	for _, d := range all {
		names = append(names, d.Kind+" "+d.Attributes["compute_capability"])
	}
	return strings.Join(names, "\x00")
}
