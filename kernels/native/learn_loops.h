// What training needs besides: products with an operand turned, attention within a segment, and gradients. Included by body.h.

INLINE void tile_turned(const float *w, const float *x, int64_t stride, int64_t n, float *y, int64_t ld, int rows) {
  vf sum[ROWS][VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) sum[r][v] = load(y + r * ld + v * LANES);
  for (int64_t k = 0; k < n; k++) {
    vf a[ROWS];
    for (int r = 0; r < rows; r++) a[r] = all(x[k * stride + r]);
    for (int v = 0; v < VECTORS; v++) {
      vf b = load(w + k * PANEL + v * LANES);
      for (int r = 0; r < rows; r++) sum[r][v] += a[r] * b;
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < VECTORS; v++) store(y + r * ld + v * LANES, sum[r][v]);
}

// product_turned adds to y[i*ld + 0..31], for i below rows, the sum over k below n of x[k*stride + i] times row k of a panel.
static void product_turned(const float *w, const float *x, int64_t stride, int64_t n, int64_t rows, float *y, int64_t ld) {
  EACH_TILE(tile_turned, rows, ROWS, w, x + i, stride, n, y + i * ld, ld);
}

// A narrow panel has numbers in its first NARROW columns alone; those are what its products give.
enum { NARROW_VECTORS = NARROW / LANES, NARROW_ROWS = LANES == 16 ? 8 : LANES == 8 ? 6 : 2 };

INLINE void tile_narrow(const float *w, const float *x, int64_t by_row, int64_t by_term, int more, int64_t n, float *y, int64_t ld, int rows) {
  vf sum[NARROW_ROWS][NARROW_VECTORS];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < NARROW_VECTORS; v++) sum[r][v] = more ? load(y + r * ld + v * LANES) : (vf){};
  for (int64_t k = 0; k < n; k++) {
    vf b[NARROW_VECTORS];
    for (int v = 0; v < NARROW_VECTORS; v++) b[v] = load(w + k * PANEL + v * LANES);
    for (int r = 0; r < rows; r++) {
      vf a = all(x[r * by_row + k * by_term]);
      for (int v = 0; v < NARROW_VECTORS; v++) sum[r][v] += a * b[v];
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < NARROW_VECTORS; v++) store(y + r * ld + v * LANES, sum[r][v]);
}

// narrow_rows is product_rows of a narrow panel, narrow_turned product_turned.
static void narrow_rows(const float *w, const float *x, int64_t stride, int64_t rows, int64_t in, float *y, int64_t ld) {
  for (int64_t from = 0; from < in; from += BAND) {
    int64_t n = in - from < BAND ? in - from : BAND;
    EACH_TILE(tile_narrow, rows, NARROW_ROWS, w + from * PANEL, x + i * stride + from, stride, 1, from > 0, n, y + i * ld, ld);
  }
}

static void narrow_turned(const float *w, const float *x, int64_t stride, int64_t n, int64_t rows, float *y, int64_t ld) {
  EACH_TILE(tile_narrow, rows, NARROW_ROWS, w, x + i, 1, stride, 1, n, y + i * ld, ld);
}

// as_panels lays n rows out as panels of their columns, [columns/PANEL][n][PANEL], with zeros beside the last column.
static void as_panels(const float *x, int64_t stride, int64_t n, int64_t columns, float *to) {
  for (int64_t p = 0; p < columns; p += PANEL) {
    int64_t wide = columns - p < PANEL ? columns - p : PANEL;
    for (int64_t i = 0; i < n; i++, to += PANEL) {
      if (wide == PANEL) {
        for (int v = 0; v < VECTORS; v++) store(to + v * LANES, load(x + i * stride + p + v * LANES));
        continue;
      }
      for (int64_t c = 0; c < PANEL; c++) to[c] = c < wide ? x[i * stride + p + c] : 0;
    }
  }
}

// as_turned_panels lays n rows out as panels of rows, [n/PANEL][columns][PANEL], with zeros beside the last row.
static void as_turned_panels(const float *x, int64_t stride, int64_t n, int64_t columns, float *to) {
  for (int64_t p = 0; p < n; p += PANEL, to += columns * PANEL)
    for (int64_t from = 0; from < columns; from += 16)
      for (int64_t c = 0; c < PANEL; c++)
        for (int64_t k = from; k < columns && k < from + 16; k++) to[k * PANEL + c] = p + c < n ? x[(p + c) * stride + k] : 0;
}

// ---- attention within a segment: queries ASKING at a time, all their scores at once. learn.c says how much room that takes
INLINE int64_t whole_panels(int64_t n) { return (n + PANEL - 1) / PANEL * PANEL; }

// head_rows copies one head of a segment's rows, multiplied by scale, and turned by the positions' angles.
static void head_rows(const Segmented *a, int64_t at, int64_t n, int64_t head, float scale, float *to) {
  int64_t dim = a->head_dim, half = dim / 2, width = (a->heads + 2 * a->kv_heads) * dim;
  for (int64_t i = 0; i < n; i++, to += dim) {
    const float *x = a->qkv + (at + i) * width + head * dim, *cos = a->cos + a->positions[at + i] * half, *sin = a->sin + a->positions[at + i] * half;
    for (int64_t d = 0; d < half; d++) {
      to[d] = (x[d] * cos[d] - x[d + half] * sin[d]) * scale;
      to[d + half] = (x[d + half] * cos[d] + x[d] * sin[d]) * scale;
    }
  }
}

// unturned writes the gradient of what head_rows copied, n rows that lie `stride` apart.
static void unturned(const Segmented *a, int64_t at, int64_t n, int64_t head, float scale, const float *x, int64_t stride) {
  int64_t dim = a->head_dim, half = dim / 2, width = (a->heads + 2 * a->kv_heads) * dim;
  for (int64_t i = 0; i < n; i++, x += stride) {
    float *to = a->d_qkv + (at + i) * width + head * dim;
    const float *cos = a->cos + a->positions[at + i] * half, *sin = a->sin + a->positions[at + i] * half;
    for (int64_t d = 0; d < half; d++) {
      to[d] = (x[d] * cos[d] + x[d + half] * sin[d]) * scale;
      to[d + half] = (x[d + half] * cos[d] - x[d] * sin[d]) * scale;
    }
  }
}

// shares_of turns scores of live keys into e^(score - most), what is behind them up to end, a whole panel, into 0, and gives their sum.
INLINE float shares_of(float *scores, int64_t live, int64_t end, float most) {
  for (int64_t i = live; i < (live + LANES - 1) / LANES * LANES; i++) scores[i] = -INFINITY;
  vf sum = {};
  int64_t i = 0;
  for (; i < live; i += LANES) {
    vf e = exponential(load(scores + i) - most);
    sum += e;
    store(scores + i, e);
  }
  for (; i < end; i += LANES) store(scores + i, (vf){});
  return sum_of(sum);
}

INLINE float most_of(const float *x, int64_t n) {
  vf most = all(-INFINITY);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) most = larger(load(x + i), most);
  float m = largest_of(most);
  for (; i < n; i++) m = x[i] > m ? x[i] : m;
  return m;
}

// attend_segment attends within the n rows from row `at` on, for the queries of one kv head.
static void attend_segment(const Segmented *a, int64_t at, int64_t n, int64_t kv, float *room) {
  int64_t dim = a->head_dim, wide = whole_panels(dim), padded = whole_panels(n), group = a->heads / a->kv_heads, width = (a->heads + 2 * a->kv_heads) * dim;
  float *rows = room, *keys = rows + n * dim, *values = keys + padded * dim, *scores = values + n * wide, *mixed = scores + ASKING * padded, total[ASKING];
  head_rows(a, at, n, a->heads + kv, 1, rows);
  as_turned_panels(rows, dim, n, dim, keys);
  as_panels(a->qkv + at * width + (a->heads + a->kv_heads + kv) * dim, width, n, dim, values);
  for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
    head_rows(a, at, n, head, a->scale, rows);
    for (int64_t from = 0; from < n; from += ASKING) {
      int64_t asked = n - from < ASKING ? n - from : ASKING, seen = from + asked, end = whole_panels(seen);
      for (int64_t p = 0; p < seen; p += PANEL) product_rows(keys + p * dim, rows + from * dim, dim, asked, dim, scores + p, padded);
      for (int64_t i = 0; i < asked; i++) {
        float *s = scores + i * padded, most = most_of(s, from + i + 1);
        total[i] = shares_of(s, from + i + 1, end, most);
        a->logsum[(at + from + i) * a->heads + head] = most + logf(total[i]);
      }
      for (int64_t p = 0; p < dim; p += PANEL) product_rows(values + p * n, scores, padded, asked, seen, mixed + p, wide);
      for (int64_t i = 0; i < asked; i++)
        for (int64_t d = 0; d < dim; d++) a->mixed[((at + from + i) * a->heads + head) * dim + d] = mixed[i * wide + d] / total[i];
    }
  }
}

// attend_backward is the gradient of attend_segment to queries, keys and values. Shares are made once more from the sums' logarithms.
static void attend_backward(const Segmented *a, int64_t at, int64_t n, int64_t kv, float *room) {
  int64_t dim = a->head_dim, wide = whole_panels(dim), padded = whole_panels(n), group = a->heads / a->kv_heads, width = (a->heads + 2 * a->kv_heads) * dim,
          out = a->heads * dim;
  float *rows = room, *keys = rows + n * dim, *values = keys + padded * dim, *by_column = values + padded * dim, *d_keys = by_column + n * wide, *d_values = d_keys + padded * wide;
  float *shares = d_values + padded * wide, *slopes = shares + ASKING * padded, *d_queries = slopes + ASKING * padded, *queries = d_queries + ASKING * wide, *adjoints = queries + ASKING * wide;
  const float *v = a->qkv + at * width + (a->heads + a->kv_heads + kv) * dim;
  head_rows(a, at, n, a->heads + kv, 1, rows);
  as_turned_panels(rows, dim, n, dim, keys);
  as_panels(rows, dim, n, dim, by_column);
  as_turned_panels(v, width, n, dim, values);
  memset(d_keys, 0, (size_t)(2 * padded * wide) * sizeof *d_keys);
  for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
    head_rows(a, at, n, head, a->scale, rows);
    for (int64_t from = 0; from < n; from += ASKING) {
      int64_t asked = n - from < ASKING ? n - from : ASKING, seen = from + asked, end = whole_panels(seen);
      const float *q = rows + from * dim, *adjoint = a->d_mixed + (at + from) * out + head * dim, *mixed = a->mixed + (at + from) * out + head * dim;
      for (int64_t p = 0; p < seen; p += PANEL) {
        product_rows(keys + p * dim, q, dim, asked, dim, shares + p, padded);
        product_rows(values + p * dim, adjoint, out, asked, dim, slopes + p, padded);
      }
      for (int64_t i = 0; i < asked; i++) {
        float dot = 0, *share = shares + i * padded, *slope = slopes + i * padded;
        for (int64_t d = 0; d < dim; d++) dot += adjoint[i * out + d] * mixed[i * out + d];
        shares_of(share, from + i + 1, end, a->logsum[(at + from + i) * a->heads + head]);
        for (int64_t j = 0; j < end; j += LANES) store(slope + j, load(share + j) * (load(slope + j) - dot));
      }
      as_panels(q, dim, asked, dim, queries);
      as_panels(adjoint, out, asked, dim, adjoints);
      for (int64_t p = 0; p < dim; p += PANEL) {
        product_rows(by_column + p * n, slopes, padded, asked, seen, d_queries + p, wide);
        product_turned(queries + p * asked, slopes, padded, asked, seen, d_keys + p, wide);
        product_turned(adjoints + p * asked, shares, padded, asked, seen, d_values + p, wide);
      }
      unturned(a, at + from, asked, head, a->scale, d_queries, wide);
    }
  }
  unturned(a, at, n, a->heads + kv, 1, d_keys, wide);
  for (int64_t i = 0; i < n; i++) memcpy(a->d_qkv + (at + i) * width + (a->heads + a->kv_heads + kv) * dim, d_values + i * wide, (size_t)dim * sizeof *v);
}

// ---- rows
// normed_backward is the gradient of normed to x; that to scale is added to d_scale.
static void normed_backward(const float *x, const float *scale, const float *d_y, int64_t n, float eps, float *d_x, float *d_scale) {
  vf squares = {}, dots = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    squares += load(x + i) * load(x + i);
    dots += load(d_y + i) * load(scale + i) * load(x + i);
  }
  float square = sum_of(squares), dot = sum_of(dots);
  for (; i < n; i++) square += x[i] * x[i], dot += d_y[i] * scale[i] * x[i];
  float by = 1 / sqrtf(square / (float)n + eps), back = dot * by * by / (float)n;
  for (i = 0; i < n; i++) {
    d_scale[i] += d_y[i] * x[i] * by;
    d_x[i] = by * (d_y[i] * scale[i] - x[i] * back);
  }
}

// gates is y = silu(g) u of n numbers; gates_backward the gradient to g and u.
static void gates(const float *g, const float *u, int64_t n, float *y) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    vf x = load(g + i);
    store(y + i, x / (1 + exponential(-x)) * load(u + i));
  }
  for (; i < n; i++) y[i] = g[i] / (1 + expf(-g[i])) * u[i];
}

static void gates_backward(const float *g, const float *u, const float *d_y, int64_t n, float *d_g, float *d_u) {
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    vf x = load(g + i), d = load(d_y + i), s = 1 / (1 + exponential(-x));
    store(d_u + i, d * (x * s));
    store(d_g + i, d * load(u + i) * (s * (1 + x * (1 - s))));
  }
  for (; i < n; i++) {
    float s = 1 / (1 + expf(-g[i]));
    d_u[i] = d_y[i] * (g[i] * s);
    d_g[i] = d_y[i] * u[i] * (s * (1 + g[i] * (1 - s)));
  }
}
