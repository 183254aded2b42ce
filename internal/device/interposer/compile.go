package interposer

// #include <stdlib.h>
// #include "abi.h"
import "C"

import (
	"fmt"
	"os"
	"unsafe"

	"astro/internal/device/execcache"
)

// interposerCompile stands for PJRT_Client_Compile. It returns a PJRT_Error, of ours or of the plugin, or nil.
//
//export interposerCompile
func interposerCompile(slot C.int, args *C.Client_Compile_Args) (failed unsafe.Pointer) {
	defer func() {
		if r := recover(); r != nil {
			failed = newError(fmt.Sprintf("interposer panicked: %v", r))
		}
	}()
	p := plugin(slot)
	if C.GoStringN(args.program.format, C.int(args.program.format_size)) != "mlir" {
		return C.interposer_compile(slot, args)
	}
	program, err := p.Compile(C.GoStringN(args.program.code, C.int(args.program.code_size)))
	if err != nil {
		return newError(err.Error())
	}
	if p.Target != nil {
		return p.compileForTarget(program)
	}
	key := p.key(slot, args, program.Text)
	cached := p.load(slot, args, key)
	if !cached {
		if failed = compileText(slot, args, program.Text); failed != nil {
			return failed
		}
		p.store(slot, args.executable, key)
	}
	if program.Done != nil {
		memory, err := memoryOf(slot, args.executable)
		if err != nil {
			return newError("memory of the executable: " + err.Error())
		}
		program.Done(Compiled{Memory: memory, Cached: cached})
	}
	return nil
}

// compileForTarget compiles the program where it cannot be loaded; so it always returns an error.
func (p *registered) compileForTarget(program Rewritten) unsafe.Pointer {
	compiled, err := p.Target.compile(program.Text, max(1, program.Devices))
	if err != nil {
		return newError(err.Error())
	}
	if program.Done != nil {
		program.Done(compiled)
	}
	return newError(errOnTarget.Error())
}

// newError makes a PJRT_Error that the patched table knows how to read and free.
func newError(text string) unsafe.Pointer {
	c := C.CString(text)
	defer C.free(unsafe.Pointer(c))
	return C.interposer_error(c, C.size_t(len(text)))
}

// compileText runs the plugin's compiler on text in place of the caller's program.
func compileText(slot C.int, args *C.Client_Compile_Args, text string) unsafe.Pointer {
	code := C.CString(text)
	defer C.free(unsafe.Pointer(code))
	program := (*C.Program)(C.malloc(C.sizeof_Program))
	defer C.free(unsafe.Pointer(program))
	*program = *args.program
	program.code, program.code_size = code, C.size_t(len(text))
	callers := args.program
	args.program = program
	defer func() { args.program = callers }()
	return C.interposer_compile(slot, args)
}

// key names an executable by everything that decides what the compiler makes.
func (p *registered) key(slot C.int, args *C.Client_Compile_Args, text string) execcache.Key {
	if p.Cache == nil {
		return execcache.Key{}
	}
	var version *C.char
	if message(C.interposer_platform_version(slot, args.client, &version)) != nil {
		version = C.CString("")
	}
	defer C.free(unsafe.Pointer(version))
	devices, _ := devicesOf(slot, args.client) // a plugin that does not tell them has one kind
	options := C.GoStringN(args.compile_options, C.int(args.compile_options_size))
	return p.keyOf(C.GoString(version), models(devices), os.Getenv("XLA_FLAGS"), options, text)
}

func (p *registered) keyOf(version, devices, flags, options, text string) execcache.Key {
	return execcache.NewKey(p.identity, version, devices, flags, p.Host, options, text)
}

// load takes the executable from the cache. One that the plugin refuses counts as absent and is written anew.
func (p *registered) load(slot C.int, args *C.Client_Compile_Args, key execcache.Key) bool {
	if p.Cache == nil {
		return false
	}
	data, ok := p.Cache.Get(key)
	if !ok {
		return false
	}
	bytes := C.CBytes(data)
	defer C.free(bytes)
	var loaded unsafe.Pointer
	if message(C.interposer_load(slot, args.client, (*C.char)(bytes), C.size_t(len(data)), &loaded)) != nil {
		return false
	}
	args.executable = loaded
	return true
}

// store keeps the executable for later processes. The cache is an optimisation: what cannot be stored is compiled again.
func (p *registered) store(slot C.int, loaded unsafe.Pointer, key execcache.Key) {
	if p.Cache == nil {
		return
	}
	var bytes *C.char
	var size C.size_t
	if message(C.interposer_serialize(slot, loaded, &bytes, &size)) != nil {
		return
	}
	defer C.free(unsafe.Pointer(bytes))
	p.Cache.Put(key, unsafe.Slice((*byte)(unsafe.Pointer(bytes)), int(size)))
}

func memoryOf(slot C.int, loaded unsafe.Pointer) (Memory, error) {
	var m C.Executable_GetCompiledMemoryStats_Args
	if err := message(C.interposer_memory(slot, loaded, &m)); err != nil {
		return Memory{}, err
	}
	return memoryFrom(&m), nil
}

func memoryFrom(m *C.Executable_GetCompiledMemoryStats_Args) Memory {
	return Memory{
		Code:      int64(m.generated_code_size_in_bytes),
		Arguments: int64(m.argument_size_in_bytes),
		Outputs:   int64(m.output_size_in_bytes),
		Temporary: int64(m.temp_size_in_bytes),
		Aliased:   int64(m.alias_size_in_bytes),
	}
}
