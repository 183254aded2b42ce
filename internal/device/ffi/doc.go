// Package ffi is a C header: what a native function needs to read of the call that XLA makes, and to answer it. A cgo package
// includes it with "#cgo CFLAGS: -I${SRCDIR}/..." and gives its handlers to device.DeclareNative. There is no Go code here.
//
// Go's build cache does not watch a header of another folder: after a change to it, build with -a what includes it.
package ffi
