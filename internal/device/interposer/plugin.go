// Package interposer puts Go code between go-xla and a PJRT plugin without changing either: it registers a copy of the plugin's
// function table in which compilation is ours. Every program passes through Config.Compile as StableHLO text on its way to the
// compiler, may be refused there, and comes from the executable cache if an equal one was compiled before.
//
// cgo rules kept here: no Go pointer is stored in C memory, and what C allocates is freed in the function that received it.
package interposer

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "abi.h"
import "C"

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"github.com/gomlx/go-xla/pjrt"

	"astro/internal/device/execcache"
)

// Config says what to load and what to do with each program.
type Config struct {
	Name string // under which go-xla finds it; a name that starts with "/" skips go-xla's search and its downloads
	Path string // of the plugin (.so)

	// Compile sees the StableHLO text of every program and returns what is compiled instead. An error refuses the program;
	// its text is part of the error that the caller of the compilation gets. It runs on the caller's goroutine, many at once.
	Compile func(text string) (Rewritten, error)

	// Target, if it is not nil, gets the programs in place of the plugin, whose client then only serves to build graphs. Every compilation
	// ends with an error, after Rewritten.Done was told.
	Target *Target

	Cache *execcache.Cache // of compiled executables; nil = none
	Host  string           // names what executables depend on besides the plugin and its devices (CPU, driver, libraries); part of the cache's key

	// Natives are C functions of this process (ffi_handler in internal/device/ffi/ffi.h) that programs may call, by target.
	// They are registered with the plugin, for XLA's Platform ("Host", "CUDA"), unless it has no FFI extension; Natives says so then.
	Natives  map[string]unsafe.Pointer
	Platform string
}

// Rewritten is a program as it goes to the compiler.
type Rewritten struct {
	Text    string
	Devices int            // that a Target's compiler is told of, each of which runs the program; 0 = 1
	Done    func(Compiled) // told once the executable exists; may be nil
}

// Compiled describes a fresh executable.
type Compiled struct {
	Memory    Memory
	Cached    bool   // read from the cache, not compiled
	Optimized []byte // on a Target: the program as the compiler's passes left it, a HloModuleProtoWithConfig; else nil
}

// Memory is what an executable needs on the device, in bytes.
type Memory struct {
	Code, Arguments, Outputs, Temporary int64
	Aliased                             int64 // of Outputs that live in the memory of an argument
}

// registered is a plugin behind its table; its index in slots is what its C functions call it by.
type registered struct {
	Config
	identity string // changes when the plugin's file does
	natives  error  // why custom calls cannot be used
}

var (
	mu    sync.Mutex
	slots []*registered
)

// Register loads the plugin and makes it known to go-xla as "xla:<Name>". A name can be registered once per process.
func Register(c Config) error {
	mu.Lock()
	defer mu.Unlock()
	for _, r := range slots {
		if r.Name == c.Name {
			panic(fmt.Sprintf("BUG: PJRT plugin %q is registered twice", c.Name))
		}
	}
	info, err := os.Stat(c.Path)
	if err != nil {
		return fmt.Errorf("load PJRT plugin: %w", err)
	}
	table, err := open(c.Path, len(slots))
	if err != nil {
		return fmt.Errorf("load PJRT plugin %s: %w", c.Path, err)
	}
	r := &registered{Config: c, identity: fmt.Sprintf("%s %d %d", filepath.Base(c.Path), info.Size(), info.ModTime().UnixNano())}
	compiler := table
	if c.Target != nil {
		compiler = (*C.Table)(unsafe.Pointer(C.interposer_target_table(c.Target.handle)))
	}
	if err := r.registerNatives(compiler); err != nil {
		return fmt.Errorf("load PJRT plugin %s: %w", c.Path, err)
	}
	slots = append(slots, r)
	if err := pjrt.RegisterPreloadedPlugin(c.Name, uintptr(unsafe.Pointer(table))); err != nil {
		slots[len(slots)-1].Name = "" // its table cannot be unloaded; the slot stays used and the name free
		return fmt.Errorf("initialise PJRT plugin %s: %w", c.Path, err)
	}
	return nil
}

func open(path string, slot int) (*C.Table, error) {
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var table *C.Table
	if err := message(C.interposer_open(cpath, C.int(slot), &table)); err != nil {
		return nil, err
	}
	return table, nil
}

// registerNatives tells the plugin of the native functions. What it refuses is an error: programs that call it could not be compiled.
func (r *registered) registerNatives(table *C.Table) error {
	if C.interposer_has_natives(table) == 0 {
		r.natives = fmt.Errorf("PJRT plugin %s has no FFI extension", r.Path)
		return nil
	}
	platform := C.CString(r.Platform)
	defer C.free(unsafe.Pointer(platform))
	for _, target := range slices.Sorted(maps.Keys(r.Config.Natives)) {
		name := C.CString(target)
		err := message(C.interposer_native(table, platform, name, r.Config.Natives[target]))
		C.free(unsafe.Pointer(name))
		if err != nil {
			return fmt.Errorf("register native function %s: %w", target, err)
		}
	}
	return nil
}

// Natives says why programs of the plugin that was registered under name cannot call native functions; nil = they can.
func Natives(name string) error {
	mu.Lock()
	defer mu.Unlock()
	for _, r := range slots {
		if r.Name == name {
			return r.natives
		}
	}
	return fmt.Errorf("PJRT plugin %q is not registered", name)
}

// message turns a C function's failure into an error and frees it.
func message(text *C.char) error {
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	return fmt.Errorf("%s", C.GoString(text))
}

func plugin(slot C.int) *registered {
	mu.Lock()
	defer mu.Unlock()
	return slots[slot]
}
