// The inner loops in vectors of LANES floats: included once for each level, behind its target. INTS says whether there are vectors of bytes, DOT4 names
// the instruction that adds products of four bytes to a word, if there is one.
#include "kernels.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline)) // a function of its own: in one large one GCC runs out of registers
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef float vf_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias)); // at any address
typedef int32_t vi_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t vu_any __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vf load(const float *p) { return *(const vf_any *)p; }
INLINE void store(float *p, vf x) { *(vf_any *)p = x; }
INLINE vf all(float x) { return x - (vf){}; }
INLINE vf choose(vi where, vf a, vf b) { return (vf)(((vi)a & where) | ((vi)b & ~where)); }
INLINE vf larger(vf a, vf b) { return choose(a > b, a, b); }

INLINE float sum_of(vf x) {
  float s = 0;
  for (int i = 0; i < LANES; i++) s += x[i];
  return s;
}

INLINE float largest_of(vf x) {
  float m = x[0];
  for (int i = 1; i < LANES; i++) m = x[i] > m ? x[i] : m;
  return m;
}

// exponential is e^x within 2 units in the last place; below -87 it is 0 (Cephes' expf).
INLINE vf exponential(vf x) {
  vi gone = x < all(-87);
  x = choose(x > all(88), all(88), choose(gone, all(-87), x));
  const float magic = 0x1.8p23f; // adding it rounds to an integer, which then is in the low bits
  vf t = x * 1.44269504f + magic;
  vi n = (vi)t - (vi)all(magic);
  vf k = t - magic, r = x - k * 0.693359375f;
  r = r - k * -2.12194440e-4f;
  vf p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + (r + 1);
  return choose(gone, (vf){}, (vf)((vi)p + (n << 23)));
}

#include "products.h"

// ---- rows
static void normed(const float *x, const float *scale, int64_t n, float eps, float *y) {
  vf squares = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) squares += load(x + i) * load(x + i);
  float sum = sum_of(squares);
  for (; i < n; i++) sum += x[i] * x[i];
  float by = 1 / sqrtf(sum / (float)n + eps);
  for (i = 0; i < n; i++) y[i] = x[i] * by * scale[i];
}

static void rounded(const float *x, int64_t n, Rounded *out) {
  for (int64_t b = 0; b < n / BLOCK; b++, x += BLOCK, out++) {
    uint32_t bits = 0; // sizes of floats are in the order of their bits, NaN above all: what is not finite makes the scale so, for whoever samples
    for (int i = 0; i < BLOCK; i++) {
      union { float f; uint32_t u; } v = {x[i]};
      bits = (v.u & 0x7fffffff) > bits ? v.u & 0x7fffffff : bits;
    }
    union { uint32_t u; float f; } largest = {bits};
    float most = largest.f, by = most > 0 ? 127 / most : 0;
    int32_t sum = 0;
    for (int i = 0; i < BLOCK; i++) {
      const float magic = 0x1.8p23f;
      union { float f; int32_t i; } v = {x[i] * by + magic}, zero = {magic};
      int32_t q = v.i - zero.i;
      q = q > 127 ? 127 : q < -127 ? -127 : q; // NaN and infinities come to something, too
      out->q[i] = (int8_t)q;
      sum += q;
    }
    out->sum = sum;
    out->scale = most / 127;
  }
}

static void gated(const float *g, const float *u, float *y) {
  for (int i = 0; i < 16; i += LANES) {
    vf x = load(g + i);
    store(y + i, x / (1 + exponential(-x)) * load(u + i));
  }
}

static void added(const float *a, const float *b, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void turned(float *x, const float *cos, const float *sin, int64_t n) {
  for (int64_t i = 0; i < n / 2; i++) {
    float a = x[i], b = x[i + n / 2];
    x[i] = a * cos[i] - b * sin[i];
    x[i + n / 2] = b * cos[i] + a * sin[i];
  }
}

// ---- attention: span by span, each with a softmax of its own; they are joined in order, wherever each was computed.

// floats gives a page of keys [head_dim, page_tokens] or values [page_tokens, head_dim] as f32: where they are, or converted in room.
INLINE const float *floats(const Queries *a, const char *page, int keys, float *room) {
  const uint16_t *half = (const uint16_t *)page;
  const int8_t *bytes = (const int8_t *)page;
  int64_t n = a->head_dim * a->page_tokens;
  const float *scale = (const float *)(page + n);
  switch (a->kind) {
  case PAGES_I8:
    for (int64_t d = 0; keys && d < a->head_dim; d++)
      for (int64_t t = 0; t < a->page_tokens; t++) room[d * a->page_tokens + t] = (float)bytes[d * a->page_tokens + t] * scale[t];
    for (int64_t t = 0; !keys && t < a->page_tokens; t++)
      for (int64_t d = 0; d < a->head_dim; d++) room[t * a->head_dim + d] = (float)bytes[t * a->head_dim + d] * scale[t];
    return room;
  case PAGES_BF16:
    for (int64_t i = 0; i < n; i++) room[i] = from_bf16(half[i]);
    return room;
  case PAGES_F16:
#if INTS > 0
    for (int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(room + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(half + i))));
#else
    for (int64_t i = 0; i < n; i++) room[i] = from_half(half[i]);
#endif
    return room;
  }
  return (const float *)page;
}

enum { PAGE_VECTORS = 16 / LANES, SCORED = LANES == 16 ? 8 : LANES == 8 ? 4 : 2, MIXED = LANES == 16 ? 6 : LANES == 8 ? 3 : 1 };

// scores are of 16 positions for some queries: keys [head_dim, stride].
INLINE void tile_scores(const float *const *q, const float *keys, int64_t dim, int64_t stride, float scale, float *scores, int rows) {
  vf sum[SCORED][PAGE_VECTORS] = {};
  for (int64_t d = 0; d < dim; d++) {
    vf k[PAGE_VECTORS];
    for (int v = 0; v < PAGE_VECTORS; v++) k[v] = load(keys + d * stride + v * LANES);
    for (int r = 0; r < rows; r++) {
      vf a = all(q[r][d]);
      for (int v = 0; v < PAGE_VECTORS; v++) sum[r][v] += a * k[v];
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < PAGE_VECTORS; v++) store(scores + r * SPAN + v * LANES, sum[r][v] * scale);
}

// tile_mix adds shares times values [n, dim] to 32 columns of some queries' sums.
INLINE void tile_mix(const float *shares, const float *values, int64_t n, int64_t dim, float *sums, int vectors, int rows) {
  vf sum[MIXED][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sum[r][v] = load(sums + r * dim + v * LANES);
  for (int64_t i = 0; i < n; i++) {
    vf a[MIXED];
    for (int r = 0; r < rows; r++) a[r] = all(shares[r * SPAN + i]);
    for (int v = 0; v < vectors; v++) {
      vf x = load(values + i * dim + v * LANES);
      for (int r = 0; r < rows; r++) sum[r][v] += a[r] * x;
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) store(sums + r * dim + v * LANES, sum[r][v]);
}

static void mix(const float *shares, const float *values, int64_t n, int64_t dim, float *sums, int64_t rows) {
  int64_t d = 0;
  for (; d + PANEL <= dim; d += PANEL) EACH_TILE(tile_mix, rows, MIXED, shares + i * SPAN, values + d, n, dim, sums + i * dim + d, VECTORS);
  if (d < dim) EACH_TILE(tile_mix, rows, MIXED, shares + i * SPAN, values + d, n, dim, sums + i * dim + d, VECTORS / 2);
}

// soften turns scores of the live positions into e^(score - most), those of the others into 0, and gives their sum.
INLINE float soften(float *scores, int64_t live, float most) {
  for (int64_t i = live; i < (live + LANES - 1) / LANES * LANES; i++) scores[i] = -INFINITY;
  vf sum = {};
  int64_t i = 0;
  for (; i < live; i += LANES) {
    vf e = exponential(load(scores + i) - most);
    sum += e;
    store(scores + i, e);
  }
  for (; i < SPAN; i += LANES) store(scores + i, (vf){});
  return sum_of(sum);
}

// attend_span gives what the positions of one span contribute, on their own: nothing, for a query that sees none of them.
static void attend_span(const Queries *a, int64_t span, float *sums, Shares *shares) {
  float *scores = a->room, *room = scores + QUERIES * SPAN;
  int64_t dim = a->head_dim, from = span * SPAN, to = from;
  for (int64_t i = 0; i < a->n; i++) to = a->seen[i] > to ? a->seen[i] : to;
  to = to < from + SPAN ? to : from + SPAN;
  for (int64_t p = from; p < to; p += a->page_tokens) {
    const float *keys = floats(a, a->keys + (size_t)a->table[p / a->page_tokens] * a->page_stride, 1, room);
    for (int64_t o = 0; o < a->page_tokens && p + o < to; o += 16)
      EACH_TILE(tile_scores, a->n, SCORED, a->q + i, keys + o, dim, a->page_tokens, a->scale, scores + i * SPAN + (p - from) + o);
  }
  for (int64_t i = 0; i < a->n; i++) {
    float *s = scores + i * SPAN, m = -INFINITY;
    int64_t live = a->seen[i] - from < SPAN ? a->seen[i] - from : SPAN;
    for (int64_t j = 0; j < live; j++) m = s[j] > m ? s[j] : m;
    shares[i] = (Shares){.most = m, .total = soften(s, live > 0 ? live : 0, m)};
  }
  memset(sums, 0, (size_t)(a->n * dim) * sizeof *sums);
  for (int64_t p = from; p < to; p += a->page_tokens) {
    int64_t n = to - p < a->page_tokens ? to - p : a->page_tokens;
    const float *values = floats(a, a->values + (size_t)a->table[p / a->page_tokens] * a->page_stride, 0, room);
    mix(scores + (p - from), values, n, dim, sums, a->n);
  }
}

// joined adds what a later span contributes to a query's sums of earlier ones. A total of 0 has seen nothing; one that is NaN has.
static void joined(float *sums, Shares *shares, const float *more, const Shares *by, int64_t dim) {
  if (by->total == 0) return;
  if (shares->total == 0) {
    memcpy(sums, more, (size_t)dim * sizeof *sums);
    *shares = *by;
    return;
  }
  float m = by->most > shares->most ? by->most : shares->most, old = expf(shares->most - m), fresh = expf(by->most - m);
  shares->most = m;
  shares->total = shares->total * old + by->total * fresh;
  for (int64_t d = 0; d < dim; d++) sums[d] = sums[d] * old + more[d] * fresh;
}

static void attend(const Queries *a) {
  float *sums = a->room + ATTEND_SPAN_ROOM(a->head_dim), *more = sums + QUERIES * a->head_dim;
  Shares shares[QUERIES], by[QUERIES];
  int64_t dim = a->head_dim, last = 0;
  for (int64_t i = 0; i < a->n; i++) last = a->seen[i] > last ? a->seen[i] : last;
  attend_span(a, 0, sums, shares);
  for (int64_t span = 1; span * SPAN < last; span++) {
    attend_span(a, span, more, by);
    for (int64_t i = 0; i < a->n; i++) joined(sums + i * dim, shares + i, more + i * dim, by + i, dim);
  }
  for (int64_t i = 0; i < a->n; i++)
    for (int64_t d = 0; d < dim; d++) a->out[i][d] = sums[i * dim + d] / shares[i].total;
}

#include "draws.h"
#include "learn_loops.h"

#define MAKE(level) const Kernels kernels_##level = {product, normed, rounded, gated, added, turned, attend, attend_span, joined, draw, \
                                                          product_rows, product_turned, narrow_rows, narrow_turned, as_panels, as_turned_panels, attend_segment, attend_backward, normed_backward, gates, gates_backward}
