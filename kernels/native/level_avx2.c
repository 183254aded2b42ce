// AVX2 with FMA and F16C.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c")
#include <immintrin.h>
#define LANES 8
#define INTS 1
#include "body.h"
MAKE(avx2);
#endif
