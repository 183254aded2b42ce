// Rows times a panel of weights, of each kind. Included by body.h.

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

// ---- products of rounded activations with blocks as kernels.h has them. Instructions want one side unsigned; what was added to weights is taken off
// with the sum of the activations.
#if INTS == 0 // one by one
INLINE void product_ints(int weights, const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t i = 0; i < rows; i++) {
    float sum[PANEL] = {0};
    for (int64_t b = 0; b < in / BLOCK; b++) {
      const char *block = w + b * (weights == WEIGHTS_I8 ? BLOCK_I8 : BLOCK_I4);
      const Rounded *a = x + i * (in / BLOCK) + b;
      for (int c = 0; c < PANEL; c++) {
        int32_t s = 0;
        for (int k = 0; k < BLOCK; k++) s += a->q[k] * int_weight(weights, block, k, c);
        sum[c] += (float)s * (from_half(((const uint16_t *)block)[c]) * a->scale);
      }
    }
    memcpy(y + i * ld, sum, sizeof sum);
  }
}

APART void product_i8(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) { product_ints(WEIGHTS_I8, w, x, rows, in, y, ld); }
APART void product_i4(const char *w, const Rounded *x, int64_t rows, int64_t in, float *y, int64_t ld) { product_ints(WEIGHTS_I4, w, x, rows, in, y, ld); }
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
