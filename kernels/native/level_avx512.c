// AVX-512; products of bytes as in AVX2.
#if defined(__x86_64__) || defined(EMULATED)
#if defined(EMULATED)
#include "emulated.h"
#elif defined(__clang__) // which takes no pragma for a file, and has all intrinsics in any
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#include <immintrin.h>
#endif
#define LANES 16
#define INTS 1
#include "body.h"
MAKE(avx512);
#if defined(__clang__) && !defined(EMULATED)
#pragma clang attribute pop
#endif
#endif
