// Which inner loops run.
#include "kernels.h"
#include <stdatomic.h>

static const Kernels *all[LEVELS] = {
    &kernels_plain,
#if defined(__x86_64__) || defined(EMULATED)
    &kernels_avx2, &kernels_avx512, &kernels_vnni,
#endif
};

int best_level(void) {
#if defined(EMULATED) // in plain C: any processor has them all
  return LEVELS - 1;
#elif defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) return LEVEL_PLAIN;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return LEVEL_AVX2;
  return __builtin_cpu_supports("avx512vnni") ? LEVEL_VNNI : LEVEL_AVX512;
#else
  return LEVEL_PLAIN;
#endif
}

static _Atomic int chosen = -1;

int level(void) {
  int l = atomic_load(&chosen);
  if (l < 0) atomic_store(&chosen, l = best_level());
  return l;
}

int set_level(int l) {
  if (l < 0 || l > best_level()) return 0;
  atomic_store(&chosen, l);
  return 1;
}

const Kernels *kernels(void) { return all[level()]; }
