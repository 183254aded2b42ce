// AVX2 with products of bytes in one instruction: processors without AVX-512 have it, too.
#include "kernels.h"
#if (defined(__x86_64__) || defined(EMULATED)) && KNOWS_AVXVNNI
#if defined(EMULATED)
#include "emulated.h"
#elif defined(__clang__) // which takes no pragma for a file, and has all intrinsics in any
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avxvnni")
#include <immintrin.h>
#endif
#define LANES 8
#define INTS 1
#define DOT4 _mm256_dpbusd_avx_epi32
#include "body.h"
MAKE(avxvnni);
#if defined(__clang__) && !defined(EMULATED)
#pragma clang attribute pop
#endif
#endif
