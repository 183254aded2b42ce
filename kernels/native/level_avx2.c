// AVX2 with FMA and F16C.
#if defined(__x86_64__) || defined(EMULATED)
#if defined(EMULATED)
#include "emulated.h"
#elif defined(__clang__) // which takes no pragma for a file, and has all intrinsics in any
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>
#endif
#define LANES 8
#define INTS 1
#include "body.h"
MAKE(avx2);
#if defined(__clang__) && !defined(EMULATED)
#pragma clang attribute pop
#endif
#endif
