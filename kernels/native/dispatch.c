// Which inner loops run.
#include "kernels.h"
#include <stdatomic.h>

static const Kernels *all[LEVELS] = {
    &kernels_plain,
#if defined(__x86_64__) || defined(EMULATED)
    &kernels_avx2,
#if KNOWS_AVXVNNI
    &kernels_avxvnni,
#else
    0,
#endif
    &kernels_avx512, &kernels_vnni,
#endif
};

int has_level(int l) {
  if (l < 0 || l >= LEVELS || !all[l]) return 0;
#if defined(EMULATED) // in plain C: any processor has them all
  return 1;
#elif defined(__x86_64__)
  __builtin_cpu_init();
  int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (l) {
  case LEVEL_AVX2: return avx2;
#if KNOWS_AVXVNNI
  case LEVEL_AVXVNNI: return avx2 && __builtin_cpu_supports("avxvnni");
#endif
  case LEVEL_AVX512: return avx512;
  case LEVEL_VNNI: return avx512 && __builtin_cpu_supports("avx512vnni");
  }
#endif
  return l == LEVEL_PLAIN;
}

int best_level(void) {
  int l = LEVELS - 1;
  while (!has_level(l)) l--;
  return l;
}

static _Atomic int chosen = -1;

int level(void) {
  int l = atomic_load(&chosen);
  if (l < 0) atomic_store(&chosen, l = best_level());
  return l;
}

int set_level(int l) {
  if (!has_level(l)) return 0;
  atomic_store(&chosen, l);
  return 1;
}

const Kernels *kernels(void) { return all[level()]; }
