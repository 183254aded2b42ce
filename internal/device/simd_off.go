//go:build !goexperiment.simd

package device

// builtWithSIMD says that the go backend has its vector kernels; without them it is 15 to 40 times slower.
const builtWithSIMD = false
