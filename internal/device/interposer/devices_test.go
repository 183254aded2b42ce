package interposer

import (
	"testing"
	"unsafe"
)

// client stands for a PJRT_Client: the plugins of testdata do not look at it.
var client int32

func fakeDevices(t *testing.T, flags ...string) []Device {
	t.Helper()
	if _, err := open(fakePlugin(t, append(flags, "-DFORM=0")), 1); err != nil {
		t.Fatal(err)
	}
	all, err := devicesOf(1, unsafe.Pointer(&client))
	if err != nil || len(all) != 1 {
		t.Fatalf("got %v and error %v; want one device", all, err)
	}
	return all
}

func TestDevicesOfClient(t *testing.T) {
	d := fakeDevices(t, "-DLIMIT=1000")[0]
	if d.Kind != "Fake 1" || d.Attributes["compute_capability"] != "9.0" || d.Attributes["core_count"] != "132" {
		t.Errorf("got %+v; want the model Fake 1 of compute capability 9.0 with 132 cores", d)
	}
	if d.Memory != (DeviceMemory{Limit: 1000, Used: 5}) {
		t.Errorf("got memory %+v; want 5 of 1000 bytes", d.Memory)
	}
	if d := fakeDevices(t)[0]; d.Memory != (DeviceMemory{}) {
		t.Errorf("got memory %+v of a plugin that does not tell it", d.Memory)
	}
}

// An executable of one GPU, driver, library or flag is not taken for another's.
func TestKeyNamesGPUAndHost(t *testing.T) {
	one, two := models(fakeDevices(t)), models(fakeDevices(t, `-DMODEL="Fake 2"`))
	host := func(host string) *registered { return &registered{Config: Config{Host: host}, identity: "plugin"} }
	base := host("driver 580.1").keyOf("12", one, "", "options", "text")
	if base != host("driver 580.1").keyOf("12", one, "", "options", "text") {
		t.Error("the same program has two keys")
	}
	for name, other := range map[string]any{
		"GPU":    host("driver 580.1").keyOf("12", two, "", "options", "text"),
		"driver": host("driver 580.2").keyOf("12", one, "", "options", "text"),
		"flags":  host("driver 580.1").keyOf("12", one, "--xla_x=1", "options", "text"),
	} {
		if other == any(base) {
			t.Errorf("another %s has the same key", name)
		}
	}
}

func TestDevicesOfUnknownPlugin(t *testing.T) {
	if _, err := Devices("none"); !says(err, "not registered") {
		t.Errorf("got %v; want an error", err)
	}
}
