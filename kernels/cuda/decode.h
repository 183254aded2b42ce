// What the host and the kernels of decode.cu agree on. NVRTC compiles it without any other header.
#pragma once

enum {
  DECODE_THREADS = 128, // of a block: four warps
  DECODE_ROWS = 8,      // queries that a block answers at once
  DECODE_SPAN = 256,    // positions that a block reads; results depend on it, so a change needs a new target
};

// The sizes of heads that there are kernels for, each with the number of blocks that a multiprocessor should hold: registers are bounded to
// that, so that reads of three blocks, about 60 KiB, can be under way.
#define DECODE_HEAD_DIMS(OF) OF(32, 3) OF(64, 3) OF(80, 3) OF(96, 3) OF(128, 3) OF(256, 1)

// A call of attention over pages. Rows are [seqs, tokens, heads, headDim]; a pool is [pages, kvHeads, pageTokens, headDim].
typedef struct {
  const void *q;        // rows, f32 or bf16
  const void *k, *v;    // pools, of the dtype that the kernel's name says
  const int *table;     // [seqs, maxPages]
  const int *positions; // [seqs, tokens]
  void *out;            // rows, as q
  float *sums;          // [seqs*tokens*heads, spans, headDim]; not used where spans is 1
  float *marks;         // [seqs*tokens*heads, spans, 2]: the largest score and the sum of weights; likewise
  int seqs, tokens, heads, kvHeads, headDim, pages, pageTokens, maxPages;
  int group;    // heads/kvHeads: query heads that read one kv head
  int tiles;    // of DECODE_ROWS rows in tokens*group
  int spans;    // of DECODE_SPAN positions in maxPages pages
  int bf16Rows; // q and out are bf16
  float scale;  // of q: 1/sqrt(headDim)
} Decode;

#ifndef __CUDACC_RTC__
#include <math.h>

// decode_sizes fills in what follows from the others and gives the grid of the first kernel.
static inline void decode_sizes(Decode *a, unsigned grid[3]) {
  a->group = a->heads / a->kvHeads;
  a->tiles = (a->tokens * a->group + DECODE_ROWS - 1) / DECODE_ROWS;
  a->spans = (a->maxPages * a->pageTokens + DECODE_SPAN - 1) / DECODE_SPAN;
  a->scale = (float)(1 / sqrt((double)a->headDim));
  grid[0] = a->seqs;
  grid[1] = a->kvHeads * a->tiles;
  grid[2] = a->spans;
}
#endif
