// AVX-512; products of bytes as in AVX2.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq")
#include <immintrin.h>
#define LANES 16
#define INTS 1
#include "body.h"
MAKE(avx512);
#endif
