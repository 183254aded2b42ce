// The inner loops of one instruction set; body.h makes them, dispatch.c chooses.
#pragma once
#include "learn.h"
#include "native.h"

// A block of I8 or I4 is 32 f16 scales, then for each 4 (I8) or 8 (I4) rows of `in` a 32-bit word for each column: of I8 a byte a row, plus 128; of I4
// the first four rows in the low halves of the bytes, the others in the high halves, plus 8.
enum { BLOCK_I8 = 2 * PANEL + BLOCK * PANEL, BLOCK_I4 = 2 * PANEL + BLOCK * PANEL / 2 };

// int_weight is row k of column c of a block, before its scale.
static inline int int_weight(int weights, const char *block, int k, int64_t c) {
  const uint8_t *q = (const uint8_t *)block + 2 * PANEL;
  if (weights == WEIGHTS_I8) return q[(k / 4 * PANEL + c) * 4 + k % 4] - 128;
  return (q[(k / 8 * PANEL + c) * 4 + k % 4] >> (k % 8 / 4 * 4) & 15) - 8;
}

// Rounded is a block of activations for I8 and I4: x = scale * q.
typedef struct {
  float scale;
  int32_t sum; // of q
  int8_t q[BLOCK];
} Rounded;

// Queries are rows of one kv head with the positions that they see: [0, seen).
typedef struct {
  int64_t n, head_dim, page_tokens;
  const float *const *q; // n rows
  float *const *out;
  const int32_t *seen;
  float scale;
  const int32_t *table;
  const char *keys, *values; // of the layer, at this head of page 0
  size_t page_stride;        // bytes from page to page
  int kind;
  float *room; // attention_room() floats
} Queries;

// Positions that are summed up together; partial sums are joined in order.
enum { SPAN = 256, QUERIES = 64 };

// Columns of a panel that training multiplies alone where there are no more.
enum { NARROW = 16 };

// Queries of a segment that training asks at a time.
enum { ASKING = 48 };

// Shares are of one query: the largest score, and the sum of e^(score - most).
typedef struct {
  float most, total;
} Shares;

typedef struct {
  // product is y[i*ld + 0..31] = sum over in of x row i times the panel, for prepared rows.
  void (*product)(int weights, const void *panel, const void *x, int64_t rows, int64_t in, float *y, int64_t ld);
  // normed is RMSNorm of one row; rounded makes Rounded blocks of one row.
  void (*normed)(const float *x, const float *scale, int64_t n, float eps, float *y);
  void (*rounded)(const float *x, int64_t n, Rounded *out);
  // gated is y[j] = silu(g[j]) * u[j] for j < 16.
  void (*gated)(const float *g, const float *u, float *y);
  void (*added)(const float *a, const float *b, int64_t n, float *y);
  // turned rotates a head of n values (both halves) by cos and sin [n/2].
  void (*turned)(float *x, const float *cos, const float *sin, int64_t n);
  // attend is over all that the queries see; attend_span and joined are its parts: of span's positions alone sums [n, head_dim] and shares [n],
  // and one query's of later positions added to those of earlier ones.
  void (*attend)(const Queries *q);
  void (*attend_span)(const Queries *q, int64_t span, float *sums, Shares *shares);
  void (*joined)(float *sums, Shares *shares, const float *more, const Shares *by, int64_t head_dim);
  void (*draw)(const float *logits, int64_t vocab, const int32_t *parameters, int32_t *result);
  // What follows is training's: see learn_loops.h.
  void (*product_rows)(const float *panel, const float *x, int64_t stride, int64_t rows, int64_t in, float *y, int64_t ld);
  void (*product_turned)(const float *panel, const float *x, int64_t stride, int64_t n, int64_t rows, float *y, int64_t ld);
  void (*narrow_rows)(const float *panel, const float *x, int64_t stride, int64_t rows, int64_t in, float *y, int64_t ld);
  void (*narrow_turned)(const float *panel, const float *x, int64_t stride, int64_t n, int64_t rows, float *y, int64_t ld);
  void (*as_panels)(const float *x, int64_t stride, int64_t n, int64_t columns, float *to);
  void (*as_turned_panels)(const float *x, int64_t stride, int64_t n, int64_t columns, float *to);
  void (*attend_segment)(const Segmented *a, int64_t at, int64_t n, int64_t kv, float *room);
  void (*attend_backward)(const Segmented *a, int64_t at, int64_t n, int64_t kv, float *room);
  void (*normed_backward)(const float *x, const float *scale, const float *d_y, int64_t n, float eps, float *d_x, float *d_scale);
  void (*gates)(const float *g, const float *u, int64_t n, float *y);
  void (*gates_backward)(const float *g, const float *u, const float *d_y, int64_t n, float *d_g, float *d_u);
} Kernels;

// Compilers before GCC 11 and clang 12 do not know AVX-VNNI.
#if defined(EMULATED) || (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define KNOWS_AVXVNNI 1
#endif

extern const Kernels kernels_plain, kernels_avx2, kernels_avxvnni, kernels_avx512, kernels_vnni;
const Kernels *kernels(void); // those of level()

// For a span the scores of all queries, then a page as floats, which has at most SPAN positions; for attend two of sums, too.
#define ATTEND_SPAN_ROOM(head_dim) (QUERIES * SPAN + SPAN * (head_dim))
static inline size_t attention_room(int64_t head_dim) { return (size_t)(ATTEND_SPAN_ROOM(head_dim) + 2 * QUERIES * head_dim); }

static inline float from_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
  union { uint32_t u; float f; } v;
  if (rest < 0x0400) { // subnormal: rest * 2^-24
    v.f = (float)rest * 0x1p-24f;
    v.u |= sign;
    return v.f;
  }
  v.u = rest >= 0x7c00 ? sign | 0x7f800000 | (rest & 0x3ff) << 13 : sign | ((rest << 13) + (112u << 23));
  return v.f;
}

static inline uint16_t to_half(float x) { // to nearest even
  union { float f; uint32_t u; } v = {x}, m = {.u = 126u << 23};
  uint16_t sign = (uint16_t)(v.u >> 16 & 0x8000);
  v.u &= 0x7fffffff;
  if (v.u >= 0x47800000) return sign | (v.u > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (v.u < 0x38800000) { // subnormal: adding m shifts and rounds
    v.f += m.f;
    return sign | (uint16_t)(v.u - m.u);
  }
  uint32_t odd = v.u >> 13 & 1;
  v.u += 0xc8000fffu + odd; // 15-127 to the exponent, and a rounding bias
  return sign | (uint16_t)(v.u >> 13);
}

static inline uint16_t to_bf16(float x) {
  union { float f; uint32_t u; } v = {x};
  if ((v.u & 0x7fffffff) > 0x7f800000) return (uint16_t)(v.u >> 16 | 0x40);
  return (uint16_t)((v.u + 0x7fff + (v.u >> 16 & 1)) >> 16);
}

static inline float from_bf16(uint16_t b) {
  union { uint32_t u; float f; } v = {(uint32_t)b << 16};
  return v.f;
}
