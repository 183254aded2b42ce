// AVX-512 with products of bytes in one instruction.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")
#include <immintrin.h>
#define LANES 16
#define INTS 2
#include "body.h"
MAKE(vnni);
#endif
