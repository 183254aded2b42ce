// The few things of a GPU that decode.cu uses, by NVRTC's names. Compiled for a processor, the tests' testdata/simt.h gives them.
#pragma once
#ifdef __CUDACC__

#define GPU static __device__ __forceinline__

// shuffle gives a lane's value x of the lane that differs in the bits of mask; from_lane that of one lane.
GPU float shuffle(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
GPU int shuffle(int x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
GPU float from_lane(float x, int lane) { return __shfl_sync(0xffffffffu, x, lane); }

// load reads 16 bytes, or gives zeros where there is nothing, without a branch. No kernel that runs beside this one writes them; they are read
// once, so the L1 cache keeps nothing.
GPU uint4 load(const void *at, bool there) {
  uint4 x = make_uint4(0, 0, 0, 0);
  asm volatile("{ .reg .pred there; setp.ne.s32 there, %5, 0; @there ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4]; }"
               : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w)
               : "l"(at), "r"((int)there));
  return x;
}

// pack rounds to bf16, nearest even: x in the lower half.
GPU unsigned pack(float x, float y) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(y), "f"(x));
  return both;
}

// lows and highs take one half of each word.
GPU unsigned lows(unsigned a, unsigned b) { return __byte_perm(a, b, 0x5410); }
GPU unsigned highs(unsigned a, unsigned b) { return __byte_perm(a, b, 0x7632); }

// multiply is c [16, 8] += a [16, 16] times b [16, 8] over a warp, bf16 and f32 sums. With g = lane/4 and n = lane%4 a lane holds, each word a
// pair of neighbours: a.x row g and a.y row g+8 at columns 2n, a.z and a.w those at 2n+8; b0 rows 2n and b1 rows 2n+8 of column g; c.x, c.y
// row g and c.z, c.w row g+8 at columns 2n and 2n+1.
GPU void multiply(float4 &c, const uint4 &a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c.x), "+f"(c.y), "+f"(c.z), "+f"(c.w)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

#else
#include "simt.h"
#endif
