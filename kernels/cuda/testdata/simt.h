// A GPU's way of running a kernel, on one thread of a processor: every thread of a block is a fiber with a stack of its own, and the fibers
// take turns. What is exact: which threads meet at a barrier, a shuffle or a product (anything else ends the process), alignment of
// 16-byte reads, rounding to bf16, shared memory that begins as garbage (NaN). Products add up in f64 and round to f32 once; a tensor
// core rounds differently, within f32's precision. Under ThreadSanitizer each fiber counts as a thread that only barriers order, so that a
// barrier that is missing is a data race there.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline)) // what stands for hardware
#else
#define UNWATCHED __attribute__((noinline))
#endif

#define GPU static inline
#define __global__
#define __launch_bounds__(...)
#define __forceinline__ inline
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static // with red zones around it
#else
#define __shared__ static __attribute__((section("simt_shared"), used))
extern "C" char __start_simt_shared[], __stop_simt_shared[];
#endif

struct uint4 { unsigned x, y, z, w; };
struct float4 { float x, y, z, w; };
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline float __uint_as_float(unsigned x) {
  float y;
  memcpy(&y, &x, 4);
  return y;
}

namespace simt {

struct Index { unsigned x, y, z; };

enum { LANES = 32, MOST_THREADS = 1024, STACK = 256 << 10, WORDS = 10 };

[[noreturn]] static void fail(const char *what) {
  fprintf(stderr, "simt: %s\n", what);
  abort();
}

// A meeting of some fibers: the last to come lets all go on. What they bring is kept for two meetings, by turns.
struct Meeting {
  int size, come;
  long held; // how many meetings there were
  const char *kind;
  unsigned brought[2][LANES][WORDS];
};

struct Fiber {
  char *stack;
  ucontext_t context;
  jmp_buf at;
  bool begun, ended;
  void *fake, *tsan;
};

static Fiber fibers[MOST_THREADS];
static Meeting warps[MOST_THREADS / LANES], block;
static int now, threads;
static long steps; // meetings that fibers came to, and ends of fibers
static void (*body)(void *);
static void *argument;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static ucontext_t scheduler;
#ifdef __SANITIZE_ADDRESS__
static const void *main_stack;
static size_t main_size;
static void *main_fake;
#else
static void *main_tsan;
static int order; // what blocks, and this thread, do one after the other
#endif

UNWATCHED static void leave([[maybe_unused]] bool last = false) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(last ? 0 : &fibers[now].fake, main_stack, main_size);
#endif
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(main_tsan, __tsan_switch_to_fiber_no_sync);
#endif
  swapcontext(&fibers[now].context, &scheduler);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fibers[now].fake, 0, 0);
#endif
}

UNWATCHED static void enter() {
  Fiber &f = fibers[now];
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&main_fake, f.stack, STACK);
#endif
#ifdef __SANITIZE_THREAD__
  if (!f.begun) f.tsan = __tsan_create_fiber(0);
  main_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(f.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  f.begun = true;
  swapcontext(&scheduler, &f.context);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(main_fake, 0, 0);
#endif
#ifdef __SANITIZE_THREAD__
  if (f.ended) __tsan_destroy_fiber(f.tsan);
#endif
}
#else
static jmp_buf scheduler_at; // without a system call for each turn

UNWATCHED static void leave(bool = false) {
  if (!_setjmp(fibers[now].at)) _longjmp(scheduler_at, 1);
}

UNWATCHED static void enter() {
  Fiber &f = fibers[now];
  if (_setjmp(scheduler_at)) return;
  if (f.begun) _longjmp(f.at, 1);
  f.begun = true;
  setcontext(&f.context);
}
#endif

UNWATCHED static void start() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(0, &main_stack, &main_size);
#endif
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(&order);
#endif
  body(argument);
#ifdef __SANITIZE_THREAD__
  __tsan_release(&order);
#endif
  fibers[now].ended = true;
  steps++;
  leave(true);
}

// meet brings words to a meeting and returns what everybody brought, once all have come.
UNWATCHED static unsigned (*meet(Meeting &m, const char *kind, const unsigned *words, int count))[WORDS] {
  long meeting = m.held;
  unsigned(*brought)[WORDS] = m.brought[meeting % 2];
  if (m.come == 0) m.kind = kind;
  if (m.kind != kind) fail("threads that should meet are at different places");
  for (int i = 0; i < count; i++) brought[now % LANES][i] = words[i];
  steps++;
  if (++m.come == m.size) {
    m.come = 0;
    m.held++;
  }
  while (m.held == meeting) leave();
  return brought;
}

static Meeting &warp() { return warps[now / LANES]; }

} // namespace simt

// A thread's number is read from where the turns are kept.
static struct {
  struct {
    UNWATCHED operator unsigned() const { return (unsigned)simt::now; }
  } x;
} threadIdx;
static simt::Index blockIdx;

UNWATCHED static void __syncthreads() {
  static const char barrier[] = "barrier";
#ifdef __SANITIZE_THREAD__
  __tsan_release(&simt::block);
#endif
  simt::meet(simt::block, barrier, 0, 0);
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(&simt::block);
#endif
}

namespace simt {

UNWATCHED static void run_block() {
  for (int i = 0; i < threads / LANES; i++) warps[i] = {LANES, 0, 0, 0, {}};
  block = {threads, 0, 0, 0, {}};
#ifndef __SANITIZE_ADDRESS__
  for (char *p = __start_simt_shared; p < __stop_simt_shared; p++) *(volatile char *)p = (char)0xff;
#endif
#ifdef __SANITIZE_THREAD__
  __tsan_release(&order);
#endif
  for (int i = 0; i < threads; i++) {
    Fiber &f = fibers[i];
    if (!f.stack) f.stack = (char *)mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f.begun = f.ended = false;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = STACK;
    makecontext(&f.context, start, 0);
  }
  for (int left = threads; left > 0;) {
    long before = steps;
    for (now = 0; now < threads; now++) {
      if (fibers[now].ended) continue;
      enter();
      left -= fibers[now].ended;
    }
    if (steps == before) fail("threads wait for others that never come");
  }
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(&order);
#endif
}

// run runs a kernel, block after block.
template <typename Arg> static void run(void (*kernel)(Arg), const Arg &arg, const unsigned grid[3], int block_threads) {
  struct Call {
    void (*kernel)(Arg);
    const Arg *arg;
  };
  static Call call;
  call = {kernel, &arg};
  threads = block_threads;
  body = [](void *c) { ((Call *)c)->kernel(*((Call *)c)->arg); };
  argument = &call;
  for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) run_block();
}

UNWATCHED static unsigned word(float x) {
  unsigned y;
  memcpy(&y, &x, 4);
  return y;
}

} // namespace simt

// What gpu.h promises.

UNWATCHED static unsigned shuffle_words(unsigned x, int lane, const char *kind) { return simt::meet(simt::warp(), kind, &x, 1)[lane][0]; }

static const char by_mask[] = "shuffle", by_lane[] = "from_lane", product[] = "multiply";

UNWATCHED static float shuffle(float x, int mask) { return __uint_as_float(shuffle_words(simt::word(x), simt::now % simt::LANES ^ mask, by_mask)); }
UNWATCHED static int shuffle(int x, int mask) { return (int)shuffle_words((unsigned)x, simt::now % simt::LANES ^ mask, by_mask); }
UNWATCHED static float from_lane(float x, int lane) { return __uint_as_float(shuffle_words(simt::word(x), lane, by_lane)); }

static inline uint4 load(const void *at, bool there) {
  if (!there) return make_uint4(0, 0, 0, 0);
  if ((uintptr_t)at % 16) simt::fail("a read of 16 bytes that is not aligned");
  uint4 x;
  memcpy(&x, at, 16);
  return x;
}

static inline unsigned short to_bf16(float x) {
  unsigned y = simt::word(x);
  if (x != x) return 0x7fff;
  return (unsigned short)((y + 0x7fff + (y >> 16 & 1)) >> 16);
}

static inline unsigned pack(float x, float y) { return to_bf16(x) | (unsigned)to_bf16(y) << 16; }
static inline unsigned lows(unsigned a, unsigned b) { return (a & 0xffff) | b << 16; }
static inline unsigned highs(unsigned a, unsigned b) { return a >> 16 | (b & 0xffff0000u); }

// half is element i of a pair.
UNWATCHED static double half(unsigned pair, int i) { return __uint_as_float(i ? pair & 0xffff0000u : pair << 16); }

UNWATCHED static void multiply(float4 &c, const uint4 &a, unsigned b0, unsigned b1) {
  unsigned mine[6] = {a.x, a.y, a.z, a.w, b0, b1};
  unsigned(*lanes)[simt::WORDS] = simt::meet(simt::warp(), product, mine, 6);
  int g = threadIdx.x % 32 / 4, n = threadIdx.x % 4;
  double sum[4] = {c.x, c.y, c.z, c.w}; // rows g and g+8, columns 2n and 2n+1
  for (int k = 0; k < 16; k++) {        // a of lane (row, k%8/2): words x and y below 8, z and w from there; b of lane (column, k%8/2)
    unsigned *as = lanes[4 * g + k % 8 / 2], above = k / 8;
    double low = half(as[2 * above], k % 2), high = half(as[2 * above + 1], k % 2);
    double left = half(lanes[4 * (2 * n) + k % 8 / 2][4 + above], k % 2), right = half(lanes[4 * (2 * n + 1) + k % 8 / 2][4 + above], k % 2);
    sum[0] += low * left;
    sum[1] += low * right;
    sum[2] += high * left;
    sum[3] += high * right;
  }
  c = make_float4((float)sum[0], (float)sum[1], (float)sum[2], (float)sum[3]);
}
