package device

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"astro/internal/device/interposer"
)

// theNatives are the process's native functions.
var theNatives = natives{handlers: map[native]unsafe.Pointer{}}

// A native function is for one kind of device.
type native struct {
	kind   Kind
	target string
}

type natives struct {
	mu       sync.Mutex
	handlers map[native]unsafe.Pointer
	closed   bool
}

// platforms are XLA's names for where native functions are called.
var platforms = map[Kind]string{XLACPU: "Host", XLACUDA: "CUDA"}

// close gives a kind's handlers by target and allows no more: a plugin is told of them once, before its client exists.
func (n *natives) close(kind Kind) map[string]unsafe.Pointer {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	handlers := map[string]unsafe.Pointer{}
	for f, handler := range n.handlers {
		if f.kind == kind {
			handlers[f.target] = handler
		}
	}
	return handlers
}

// DeclareNative makes the C function handler (ffi_handler of internal/device/ffi/ffi.h) callable from programs on a kind of device, xla:cpu
// or xla:cuda, as target, lower-case words joined by "_". It is called from an init, once per target and kind. Executables are kept on disk
// and find the function by target alone: a function whose operands, attributes or meaning change needs a new target, such as one that ends
// with its version.
func DeclareNative(kind Kind, target string, handler unsafe.Pointer) {
	theNatives.mu.Lock()
	defer theNatives.mu.Unlock()
	switch {
	case platforms[kind] == "":
		panic(fmt.Sprintf("BUG: native function %s on %q; want xla:cpu or xla:cuda", target, kind))
	case !functionName.MatchString(target):
		panic(fmt.Sprintf("BUG: native function %q; want lower-case words joined by _", target))
	case handler == nil:
		panic(fmt.Sprintf("BUG: native function %s is NULL", target))
	case theNatives.handlers[native{kind, target}] != nil:
		panic(fmt.Sprintf("BUG: native function %s is declared twice", target))
	case theNatives.closed:
		panic(fmt.Sprintf("BUG: native function %s is declared after a plugin was loaded; want it in an init", target))
	}
	theNatives.handlers[native{kind, target}] = handler
}

// Natives says why programs of this kind of device cannot call the native functions for processors; nil = they can. The device must be open.
// A Body asks it before it answers with a CustomCall.
func Natives(kind Kind) error {
	if kind != XLACPU {
		return fmt.Errorf("backend %s has no native functions; want %s", kind, XLACPU)
	}
	return interposer.Natives(clientName(kind))
}

// HasNative says why programs of this kind of device cannot call the native function target; nil = they can. The device must be open.
func HasNative(kind Kind, target string) error {
	theNatives.mu.Lock()
	handler := theNatives.handlers[native{kind, target}]
	theNatives.mu.Unlock()
	if handler == nil {
		return fmt.Errorf("backend %s has no native function %s", kind, target)
	}
	return interposer.Natives(registeredAs(kind))
}

// Natives is the function Natives for the device's kind.
func (d *Device) Natives() error { return Natives(d.kind) }

// CustomCall is the body of a library function that is one call of the native function target. The operands are the parameters, the
// results the results. Attributes are int32 (i32), int64 (i64) or float32 (f32, bit for bit). Aliases gives, for a result, the
// operand of the same type whose memory it is: the function updates it in place; where the operand's old value is still needed XLA
// copies it first. The function must have no other effect, since equal calls may be merged and unused ones dropped.
func CustomCall(f Signature, target string, attributes map[string]any, aliases map[int]int) string {
	return CustomCallWithRoom(f, target, attributes, aliases)
}

// CustomCallWithRoom is CustomCall of a function that needs memory besides its results: room are the types of further results, which only the
// function itself reads.
func CustomCallWithRoom(f Signature, target string, attributes map[string]any, aliases map[int]int, room ...string) string {
	given := f.ResultTypes()
	results := append(slices.Clone(given), room...)
	var operands, types, returned []string
	for _, p := range f.Params {
		operands = append(operands, "%"+p.Name)
		types = append(types, p.Type)
	}
	left := "%r"
	for i := range given {
		returned = append(returned, fmt.Sprintf("%%r#%d", i))
	}
	if len(results) > 1 {
		left = fmt.Sprintf("%%r:%d", len(results))
	} else {
		returned = []string{"%r"}
	}
	return fmt.Sprintf(`    %s = "stablehlo.custom_call"(%s) {call_target_name = %q, api_version = 4 : i32, backend_config = {%s}, has_side_effect = false, output_operand_aliases = [%s]} : (%s) -> (%s)
    "stablehlo.return"(%s) : (%s) -> ()
`, left, strings.Join(operands, ", "), target, attributeText(target, attributes), aliasText(f, target, results, aliases),
		strings.Join(types, ", "), strings.Join(results, ", "), strings.Join(returned, ", "), strings.Join(given, ", "))
}

// attributeText sorts by name, so that equal calls have equal texts.
func attributeText(target string, attributes map[string]any) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		if !functionName.MatchString(name) {
			panic(fmt.Sprintf("BUG: attribute %q of native function %s; want lower-case words joined by _", name, target))
		}
		switch v := attributes[name].(type) {
		case int32:
			all = append(all, fmt.Sprintf("%s = %d : i32", name, v))
		case int64:
			all = append(all, fmt.Sprintf("%s = %d : i64", name, v))
		case float32:
			all = append(all, fmt.Sprintf("%s = 0x%08X : f32", name, math.Float32bits(v)))
		default:
			panic(fmt.Sprintf("BUG: attribute %s of native function %s is a %T; want int32, int64 or float32", name, target, v))
		}
	}
	return strings.Join(all, ", ")
}

func aliasText(f Signature, target string, results []string, aliases map[int]int) string {
	var all []string
	for _, result := range slices.Sorted(maps.Keys(aliases)) {
		operand := aliases[result]
		if result < 0 || result >= len(results) || operand < 0 || operand >= len(f.Params) || f.Params[operand].Type != results[result] {
			panic(fmt.Sprintf("BUG: native function %s: result %d of %v is operand %d of %v; want two of one type", target, result, results, operand, f.Params))
		}
		index := ""
		if len(results) > 1 {
			index = fmt.Sprint(result)
		}
		all = append(all, fmt.Sprintf("#stablehlo.output_operand_alias<output_tuple_indices = [%s], operand_index = %d, operand_tuple_indices = []>", index, operand))
	}
	return strings.Join(all, ", ")
}
