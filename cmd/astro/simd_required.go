//go:build !goexperiment.simd

package main

// The pure-Go backend without SIMD is correct but many times slower, which nobody would notice before measuring. So a build
// without the experiment does not compile; the name of this undefined variable is the message.
var _ = build_with_GOEXPERIMENT_simd_see_Makefile
