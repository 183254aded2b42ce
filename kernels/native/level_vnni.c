// AVX-512 with products of bytes in one instruction.
#if defined(__x86_64__) || defined(EMULATED)
#if defined(EMULATED)
#include "emulated.h"
#elif defined(__clang__) // which takes no pragma for a file, and has all intrinsics in any
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include <immintrin.h>
#endif
#define LANES 16
#define INTS 1
#define DOT4 _mm512_dpbusd_epi32
#include "body.h"
MAKE(vnni);
#if defined(__clang__) && !defined(EMULATED)
#pragma clang attribute pop
#endif
#endif
