// The intrinsics of products.h in plain C, from SIMDe (Debian's libsimde-dev): with EMULATED the levels of x86-64 are built on it, without their
// instructions, and run on any processor; scripts/emulate-kernels.sh does so.
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512/dpbusd.h>
#include <simde/x86/f16c.h>
#define _mm256_dpbusd_avx_epi32 simde_mm256_dpbusd_epi32
