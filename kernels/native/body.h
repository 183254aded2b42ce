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

// ---- products of f32 activations: tiles of ROWS rows by a panel, a band of rows of `in` at a time that stays in the second cache, or with FEW
// rows in the first. Sums go on in y from band to band, in the order of `in`, however many rows there are.
enum { VECTORS = PANEL / LANES, ROWS = LANES == 16 ? 8 : LANES == 8 ? 3 : 1, FEW = 16, BAND = 128, LONG_BAND = 1024, LINE = 64 };

// asked_for is where a tile that begins at row i has the memory fetch lines of the next band, or 0. A processor fetches ahead of what it reads, but
// of few rows most time goes to reading the same band again. So the first two tiles ask, each for every other line, at the pace of their own loop.
INLINE const char *asked_for(const void *next, int64_t i, int64_t rows, int64_t at_most) {
  return rows > at_most && i <= at_most ? (const char *)next + i / at_most * LINE : 0;
}

INLINE void ask(const char *next, int64_t bytes) { // from next on, every other line
  if (next) __builtin_prefetch(next + bytes / (2 * LINE) * (2 * LINE), 0, 1);
}

// tile_f32 asks for `pace` bytes a row of `in`.
INLINE void tile_f32(const float *w, const char *next, int64_t pace, const float *x, int64_t stride, int64_t from, int64_t to, float *y, int64_t ld,
                     int rows) {
  vf sum[ROWS][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) sum[r][v] = from ? load(y + r * ld + v * LANES) : (vf){};
  for (int64_t k = from; k < to; k++) {
    vf a[ROWS];
    for (int r = 0; r < rows; r++) a[r] = all(x[r * stride + k]);
    ask(next, (k - from) * pace);
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
APART void product_rows(const float *w, const float *x, int64_t stride, int64_t rows, int64_t in, float *y, int64_t ld) {
  int many = rows > FEW;
  int64_t band = many ? LONG_BAND : BAND;
  for (int64_t from = 0; from < in; from += band) {
    int64_t to = from + band < in ? from + band : in;
    EACH_TILE(tile_f32, rows, ROWS, w, many ? 0 : asked_for(w + to * PANEL, i, rows, ROWS), 2 * LINE, x + i * stride, stride, from, to, y + i * ld, ld);
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

APART void product_bf16(const uint32_t *w, const float *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  float band[BAND * PANEL] __attribute__((aligned(64)));
  for (int64_t from = 0; from < in; from += BAND) {
    int64_t to = from + BAND < in ? from + BAND : in;
    if (rows < 3) {
      EACH_TILE(tile_bf16, rows, ROWS, w, x + i * in, in, from, to, y + i * ld, ld);
      continue;
    }
    widened(w, from, to, band);
    EACH_TILE(tile_f32, rows, ROWS, band - from * PANEL, asked_for(w + to / 2 * PANEL, i, rows, ROWS), LINE, x + i * in, in, from, to, y + i * ld, ld);
  }
}

// ---- products of rounded activations. A block is 32 f16 scales, then for each 4 (I8) or 8 (I4) rows of `in` a 32-bit word for each column: of I8 a
// byte a row, plus 128; of I4 the first four rows in the low halves of the bytes, the others in the high halves, plus 8. Instructions want one
// side unsigned; what was added is taken off with the sum of the activations.
enum { BLOCK_I8 = 2 * PANEL + BLOCK * PANEL, BLOCK_I4 = 2 * PANEL + BLOCK * PANEL / 2 };

#if INTS == 0 // one by one
APART void product_i8(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t i = 0; i < rows; i++) {
    float sum[PANEL] = {0};
    for (int64_t b = 0; b < in / BLOCK; b++) {
      const uint16_t *scales = (const uint16_t *)(w + b * BLOCK_I8);
      const uint8_t *q = (const uint8_t *)(scales + PANEL);
      const Rounded *a = x + i * (in / BLOCK) + b;
      for (int c = 0; c < PANEL; c++) {
        int32_t s = -128 * a->sum;
        for (int k = 0; k < BLOCK; k++) s += a->q[k] * q[(k / 4 * PANEL + c) * 4 + k % 4];
        sum[c] += (float)s * (from_half(scales[c]) * a->scale);
      }
    }
    memcpy(y + i * ld, sum, sizeof sum);
  }
}

APART void product_i4(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
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
// In vectors of words, a word a column. DOT4 adds products of four bytes to a word. Where it is missing a product goes to 16 bits, which hold two
// of I8 if both sides are signed (then the signs of one go to the other), and all of I4 in a block: 16 of at most 15*127.
#ifdef DOT4
enum { WORDS = LANES, ROWS_I8 = LANES == 16 ? 6 : 4, VECTORS_I8 = 2 };
#else
enum { WORDS = 8, ROWS_I8 = 2, VECTORS_I8 = 4 };
#endif
enum { COLUMNS = PANEL / WORDS, ROWS_I4 = WORDS == 16 ? 6 : 4, VECTORS_I4 = 2, BAND_I4 = 16 };
#if defined(DOT4) && LANES == 16
typedef __m512i vb;
#else
typedef __m256i vb;
#endif
typedef int32_t vw __attribute__((vector_size(4 * WORDS)));
typedef int16_t vs __attribute__((vector_size(4 * WORDS)));
typedef float vwf __attribute__((vector_size(4 * WORDS)));
typedef int32_t vw_any __attribute__((vector_size(4 * WORDS), aligned(4), may_alias));
typedef float vwf_any __attribute__((vector_size(4 * WORDS), aligned(4), may_alias));

INLINE vw word(const int8_t *q) { // four activations in every word
  int32_t x;
  memcpy(&x, q, 4);
  return x - (vw){};
}

// held keeps the compiler from making all products first and all sums then, for which there are not registers.
INLINE vw held(vw x) {
#if !defined(EMULATED)
  __asm__("" : "+v"(x));
#endif
  return x;
}

// added_i8 adds u.x of each four bytes to s; added_i4 does, in words or in pairs of 16 bits, of which whole_i4 makes words. u has OFFSET_I8, or 8,
// too much.
#ifdef DOT4
enum { OFFSET_I8 = 128 };
INLINE vw added_i8(vw s, vw u, vw x) { return (vw)DOT4((vb)s, (vb)u, (vb)x); }
INLINE vw added_i4(vw s, vw u, vw x) { return (vw)DOT4((vb)s, (vb)u, (vb)x); }
INLINE vw whole_i4(vw s) { return s; }
#else
enum { OFFSET_I8 = 0 };
INLINE vw added_i8(vw s, vw u, vw x) {
  vb w = (vb)(u ^ (int32_t)0x80808080), pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((vb)x), _mm256_sign_epi8(w, (vb)x)); // at most 2*127*127
  return s + (vw)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
INLINE vw added_i4(vw s, vw u, vw x) { return held((vw)((vs)s + (vs)_mm256_maddubs_epi16((vb)u, (vb)x))); }
INLINE vw whole_i4(vw s) { return (vw)_mm256_madd_epi16((vb)s, _mm256_set1_epi16(1)); }
#endif

// scaled is s times the scales of a block, from column on, and that of activations.
INLINE vwf scaled(vw s, const char *block, int column, float scale) {
  union {
    __m256 eights[WORDS / 8];
    vwf all;
  } scales;
  for (int i = 0; i < WORDS / 8; i++) scales.eights[i] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(block + 2 * column + 16 * i)));
  return __builtin_convertvector(s, vwf) * (scales.all * scale);
}

INLINE void tile_i8(const char *w, const Rounded *x, int64_t blocks, float *y, int64_t ld, int rows) {
  vwf sum[ROWS_I8][COLUMNS] = {};
  for (int64_t b = 0; b < blocks; b++, w += BLOCK_I8)
    for (int from = 0; from < COLUMNS; from += VECTORS_I8) {
      const vw_any *words = (const vw_any *)(w + 2 * PANEL) + from;
      vw s[ROWS_I8][VECTORS_I8] = {};
      for (int g = 0; g < BLOCK / 4; g++)
        for (int r = 0; r < rows; r++)
          for (int v = 0; v < VECTORS_I8; v++) s[r][v] = added_i8(s[r][v], words[g * COLUMNS + v], word(x[r * blocks + b].q + 4 * g));
      for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS_I8; v++)
          sum[r][from + v] += scaled(s[r][v] - OFFSET_I8 * x[r * blocks + b].sum, w, (from + v) * WORDS, x[r * blocks + b].scale);
    }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < COLUMNS; v++) *(vwf_any *)(y + r * ld + v * WORDS) = sum[r][v];
}

// tile_i4 adds blocks [from, to) to y, asking for the next ones.
INLINE void tile_i4(const char *w, const char *next, const Rounded *x, int64_t blocks, int64_t from, int64_t to, float *y, int64_t ld, int rows) {
  const int each = rows > 2 ? VECTORS_I4 : COLUMNS, pace = BLOCK_I4 / (BLOCK / 8 * COLUMNS / each);
  vwf sum[ROWS_I4][COLUMNS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < COLUMNS; v++) sum[r][v] = from ? (vwf) * (const vwf_any *)(y + r * ld + v * WORDS) : (vwf){};
  for (int64_t b = from; b < to; b++) {
    const char *block = w + b * BLOCK_I4;
    for (int at = 0; at < COLUMNS; at += each) {
      const vw_any *words = (const vw_any *)(block + 2 * PANEL) + at;
      vw s[ROWS_I4][COLUMNS] = {};
#pragma GCC unroll 1
      for (int g = 0; g < BLOCK / 8; g++) {
        ask(next, (b - from) * BLOCK_I4 + (at / each * BLOCK / 8 + g) * pace);
        vw low[COLUMNS], high[COLUMNS];
        for (int v = 0; v < each; v++) {
          vw both = words[g * COLUMNS + v];
          low[v] = both & 0x0f0f0f0f, high[v] = both >> 4 & 0x0f0f0f0f;
        }
        for (int r = 0; r < rows; r++)
          for (int v = 0; v < each; v++) {
            const int8_t *q = x[r * blocks + b].q + 8 * g;
            s[r][v] = added_i4(added_i4(s[r][v], low[v], word(q)), high[v], word(q + 4));
          }
      }
      for (int r = 0; r < rows; r++)
        for (int v = 0; v < each; v++)
          sum[r][at + v] += scaled(whole_i4(s[r][v]) - 8 * x[r * blocks + b].sum, block, (at + v) * WORDS, x[r * blocks + b].scale);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < COLUMNS; v++) *(vwf_any *)(y + r * ld + v * WORDS) = sum[r][v];
}

APART void product_i8(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  EACH_TILE(tile_i8, rows, ROWS_I8, w, x + i * (in / BLOCK), in / BLOCK, y + i * ld, ld);
}

APART void product_i4(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  int64_t blocks = in / BLOCK;
  for (int64_t from = 0; from < blocks; from += BAND_I4) {
    int64_t to = from + BAND_I4 < blocks ? from + BAND_I4 : blocks;
    EACH_TILE(tile_i4, rows, ROWS_I4, w, asked_for(w + to * BLOCK_I4, i, rows, ROWS_I4), x + i * blocks, blocks, from, to, y + i * ld, ld);
  }
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
