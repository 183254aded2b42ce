// The inner loops in vectors of LANES floats: included once for each level, behind its target. INTS says how 8-bit products are made.
#include "kernels.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
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

// ---- products of f32 activations: tiles of ROWS rows by a panel, BAND rows of `in` at a time so that those stay in the first cache. Sums go
// on in y from band to band, in the order of `in`, however many rows there are.
enum { VECTORS = PANEL / LANES, ROWS = LANES == 16 ? 8 : LANES == 8 ? 3 : 1, BAND = 128 };

INLINE void tile_f32(const float *w, const float *x, int64_t stride, int64_t from, int64_t to, float *y, int64_t ld, int rows) {
  vf sum[ROWS][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) sum[r][v] = from ? load(y + r * ld + v * LANES) : (vf){};
  for (int64_t k = from; k < to; k++) {
    vf a[ROWS];
    for (int r = 0; r < rows; r++) a[r] = all(x[r * stride + k]);
    for (int v = 0; v < VECTORS; v++) {
      vf b = load(w + k * PANEL + v * LANES);
      for (int r = 0; r < rows; r++) sum[r][v] += a[r] * b;
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) store(y + r * ld + v * LANES, sum[r][v]);
}

// In bf16 a word holds two rows of `in`, the earlier one low.
INLINE void tile_bf16(const uint32_t *w, const float *x, int64_t stride, int64_t from, int64_t to, float *y, int64_t ld, int rows) {
  vf sum[ROWS][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) sum[r][v] = from ? load(y + r * ld + v * LANES) : (vf){};
  for (int64_t k = from; k < to; k += 2) {
    const uint32_t *at = w + k / 2 * PANEL;
    vf a[ROWS];
    for (int r = 0; r < rows; r++) a[r] = all(x[r * stride + k]);
    for (int v = 0; v < VECTORS; v++) {
      vf b = (vf)(*(const vu_any *)(at + v * LANES) << 16);
      for (int r = 0; r < rows; r++) sum[r][v] += a[r] * b;
    }
    for (int r = 0; r < rows; r++) a[r] = all(x[r * stride + k + 1]);
    for (int v = 0; v < VECTORS; v++) {
      vf b = (vf)(*(const vu_any *)(at + v * LANES) & 0xffff0000u);
      for (int r = 0; r < rows; r++) sum[r][v] += a[r] * b;
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) store(y + r * ld + v * LANES, sum[r][v]);
}

// EACH_TILE calls tile for all rows, at_most at a time; in its arguments i is the first row. The number of rows is always a constant.
#define REST(tile, n, at_most, ...) \
  case n:                           \
    if (n < (at_most)) tile(__VA_ARGS__, n < (at_most) ? n : 1); \
    break
#define EACH_TILE(tile, rows, at_most, ...)                                     \
  do {                                                                          \
    int64_t i = 0;                                                              \
    for (; i + (at_most) <= (rows); i += (at_most)) tile(__VA_ARGS__, at_most); \
    switch ((rows)-i) {                                                         \
      REST(tile, 1, at_most, __VA_ARGS__);                                      \
      REST(tile, 2, at_most, __VA_ARGS__);                                      \
      REST(tile, 3, at_most, __VA_ARGS__);                                      \
      REST(tile, 4, at_most, __VA_ARGS__);                                      \
      REST(tile, 5, at_most, __VA_ARGS__);                                      \
      REST(tile, 6, at_most, __VA_ARGS__);                                      \
      REST(tile, 7, at_most, __VA_ARGS__);                                      \
    }                                                                           \
  } while (0)

// product_rows is product of f32, of rows that lie `stride` apart.
static void product_rows(const float *w, const float *x, int64_t stride, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t from = 0; from < in; from += BAND) {
    int64_t to = from + BAND < in ? from + BAND : in;
    EACH_TILE(tile_f32, rows, ROWS, w, x + i * stride, stride, from, to, y + i * ld, ld);
  }
}

// widened makes f32 rows of a band of bf16 ones, which pays from a few rows of x on.
static void widened(const uint32_t *w, int64_t from, int64_t to, float *band) {
  for (int64_t k = from; k < to; k += 2, band += 2 * PANEL)
    for (int v = 0; v < VECTORS; v++) {
      vu x = *(const vu_any *)(w + k / 2 * PANEL + v * LANES);
      store(band + v * LANES, (vf)(x << 16));
      store(band + PANEL + v * LANES, (vf)(x & 0xffff0000u));
    }
}

static void product_bf16(const uint32_t *w, const float *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  float band[BAND * PANEL] __attribute__((aligned(64)));
  for (int64_t from = 0; from < in; from += BAND) {
    int64_t to = from + BAND < in ? from + BAND : in;
    if (rows < 3) {
      EACH_TILE(tile_bf16, rows, ROWS, w, x + i * in, in, from, to, y + i * ld, ld);
      continue;
    }
    widened(w, from, to, band);
    EACH_TILE(tile_f32, rows, ROWS, band - from * PANEL, x + i * in, in, from, to, y + i * ld, ld);
  }
}

// ---- products of rounded activations. A block is 32 f16 scales, then for each 4 (I8) or 8 (I4) rows of `in` a 32-bit word for each column:
// of I8 one byte a row; of I4 the first four rows in the low halves of the bytes, the others in the high halves, each plus 8.
enum { BLOCK_I8 = 2 * PANEL + BLOCK * PANEL, BLOCK_I4 = 2 * PANEL + BLOCK * PANEL / 2 };

#if INTS == 0 // one by one
static void product_i8(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t i = 0; i < rows; i++) {
    float sum[PANEL] = {0};
    for (int64_t b = 0; b < in / BLOCK; b++) {
      const uint16_t *scales = (const uint16_t *)(w + b * BLOCK_I8);
      const int8_t *q = (const int8_t *)(scales + PANEL);
      const Rounded *a = x + i * (in / BLOCK) + b;
      for (int c = 0; c < PANEL; c++) {
        int32_t s = 0;
        for (int k = 0; k < BLOCK; k++) s += a->q[k] * q[(k / 4 * PANEL + c) * 4 + k % 4];
        sum[c] += (float)s * (from_half(scales[c]) * a->scale);
      }
    }
    memcpy(y + i * ld, sum, sizeof sum);
  }
}

static void product_i4(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t i = 0; i < rows; i++) {
    float sum[PANEL] = {0};
    for (int64_t b = 0; b < in / BLOCK; b++) {
      const uint16_t *scales = (const uint16_t *)(w + b * BLOCK_I4);
      const uint8_t *q = (const uint8_t *)(scales + PANEL);
      const Rounded *a = x + i * (in / BLOCK) + b;
      for (int c = 0; c < PANEL; c++) {
        int32_t s = -8 * a->sum;
        for (int k = 0; k < BLOCK; k++) s += a->q[k] * (q[(k / 8 * PANEL + c) * 4 + k % 4] >> (k % 8 / 4 * 4) & 15);
        sum[c] += (float)s * (from_half(scales[c]) * a->scale);
      }
    }
    memcpy(y + i * ld, sum, sizeof sum);
  }
}
#else
enum { INT_ROWS = 2, EIGHTS = PANEL / 8 };
typedef float v8 __attribute__((vector_size(32)));
typedef float v8_any __attribute__((vector_size(32), aligned(4), may_alias));

INLINE __m256i word(const int8_t *q) { // four activations in every 32 bits
  int32_t x;
  memcpy(&x, q, 4);
  return _mm256_set1_epi32(x);
}

// dot4 adds a.b of each four bytes to s, for |a| and |b| up to 127.
INLINE __m256i dot4(__m256i s, __m256i a, __m256i size_of_a, __m256i b) {
#if INTS == 2
  return _mm256_dpbusd_epi32(s, size_of_a, _mm256_sign_epi8(b, a));
#else
  __m256i pairs = _mm256_maddubs_epi16(size_of_a, _mm256_sign_epi8(b, a)); // at most 2*127*127 < 2^15
  return _mm256_add_epi32(s, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#endif
}

INLINE void scaled(v8 *sum, __m256i s, const uint16_t *scales, float scale) {
  v8 w = (v8)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)scales));
  *sum += (v8)_mm256_cvtepi32_ps(s) * (w * scale);
}

INLINE void tile_i8(const char *w, const Rounded *x, int64_t blocks, float *y, int64_t ld, int rows) {
  v8 sum[INT_ROWS][EIGHTS] = {};
  for (int64_t b = 0; b < blocks; b++, w += BLOCK_I8) {
    const __m256i *q = (const __m256i *)(w + 2 * PANEL);
    __m256i s[INT_ROWS][EIGHTS] = {};
    for (int g = 0; g < BLOCK / 4; g++)
      for (int r = 0; r < rows; r++) {
        __m256i a = word(x[r * blocks + b].q + 4 * g), size = _mm256_abs_epi8(a);
        for (int v = 0; v < EIGHTS; v++) s[r][v] = dot4(s[r][v], a, size, _mm256_loadu_si256(q + g * EIGHTS + v));
      }
    for (int r = 0; r < rows; r++)
      for (int v = 0; v < EIGHTS; v++) scaled(&sum[r][v], s[r][v], (const uint16_t *)w + 8 * v, x[r * blocks + b].scale);
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < EIGHTS; v++) *(v8_any *)(y + r * ld + 8 * v) = sum[r][v];
}

INLINE void tile_i4(const char *w, const Rounded *x, int64_t blocks, float *y, int64_t ld, int rows) {
  const __m256i low = _mm256_set1_epi8(15);
  v8 sum[INT_ROWS][EIGHTS] = {};
  for (int64_t b = 0; b < blocks; b++, w += BLOCK_I4) {
    const __m256i *q = (const __m256i *)(w + 2 * PANEL);
    __m256i s[INT_ROWS][EIGHTS] = {}; // of 16 bits: 16 products of at most 15*127 each
    for (int g = 0; g < BLOCK / 8; g++)
      for (int v = 0; v < EIGHTS; v++) {
        __m256i both = _mm256_loadu_si256(q + g * EIGHTS + v), a = _mm256_and_si256(both, low), b4 = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        for (int r = 0; r < rows; r++) {
          const int8_t *xq = x[r * blocks + b].q + 8 * g;
          s[r][v] = _mm256_add_epi16(s[r][v], _mm256_add_epi16(_mm256_maddubs_epi16(a, word(xq)), _mm256_maddubs_epi16(b4, word(xq + 4))));
        }
      }
    for (int r = 0; r < rows; r++) {
      const Rounded *a = x + r * blocks + b;
      for (int v = 0; v < EIGHTS; v++) {
        __m256i whole = _mm256_sub_epi32(_mm256_madd_epi16(s[r][v], _mm256_set1_epi16(1)), _mm256_set1_epi32(8 * a->sum));
        scaled(&sum[r][v], whole, (const uint16_t *)w + 8 * v, a->scale);
      }
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < EIGHTS; v++) *(v8_any *)(y + r * ld + 8 * v) = sum[r][v];
}

static void product_i8(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  EACH_TILE(tile_i8, rows, INT_ROWS, w, x + i * (in / BLOCK), in / BLOCK, y + i * ld, ld);
}

static void product_i4(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  EACH_TILE(tile_i4, rows, INT_ROWS, w, x + i * (in / BLOCK), in / BLOCK, y + i * ld, ld);
}
#endif

static void product(int weights, const void *panel, const void *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  switch (weights) {
  case WEIGHTS_F32: product_rows(panel, x, in, rows, in, y, ld); break;
  case WEIGHTS_BF16: product_bf16(panel, x, rows, in, y, ld); break;
  case WEIGHTS_I8: product_i8(panel, x, rows, in, y, ld); break;
  case WEIGHTS_I4: product_i4(panel, x, rows, in, y, ld); break;
  }
}

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
