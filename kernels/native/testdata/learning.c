// Runs training's operations on many shapes and compares them with plain loops in double precision, and bit for bit with what they give on one
// thread; scripts/asan-kernels.sh builds it with the sanitizers. All buffers have exactly the size that they must have.
//
//   learning ROUNDS [SEED]
#include "kernels.h"
#include "learn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;
static uint32_t next(void) { // splitmix64
  uint64_t z = (seed += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)(z >> 32);
}
static int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }
static int64_t size(void) { return 1 + below(below(3) ? 40 : 150); }

static void *room(int64_t n, size_t each) { // aligned as XLA's buffers are, and full of what must not stay
  void *p;
  if (posix_memalign(&p, 64, (size_t)n * each)) abort();
  memset(p, 0xff, (size_t)n * each);
  return p;
}

static float *floats(int64_t n) {
  float *x = room(n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = ((float)(next() >> 8) / (float)(1 << 24) - .5f) * 2;
  return x;
}

static float *empty(int64_t n) { return room(n, sizeof(float)); }

static double *zeros(int64_t n) {
  double *x = room(n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = 0;
  return x;
}

// near says that got is want, within 1e-4 of the largest number that is wanted.
static void near(const char *what, const float *got, double *want, int64_t n) {
  double most = 1e-3;
  for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(want[i]));
  for (int64_t i = 0; i < n; i++)
    if (!(fabs((double)got[i] - want[i]) <= 1e-4 * most)) printf("learning: %s: number %ld of %ld is %g; want %g: level %d, threads %d\n", what, (long)i, (long)n, (double)got[i], want[i], level(), threads()), exit(1);
  free(want);
}

// same says that two results are the same bits, and frees the second.
static void same(const char *what, const float *a, float *b, int64_t n) {
  if (memcmp(a, b, (size_t)n * sizeof *a)) printf("learning: %s: other numbers on %d threads than on one\n", what, threads()), exit(1);
  free(b);
}

static int many; // threads

// AGAIN runs a call on one thread, and before on many.
#define AGAIN(call_many, call_one) \
  do {                             \
    set_threads(many);             \
    call_many;                     \
    set_threads(1);                \
    call_one;                      \
    set_threads(many);             \
  } while (0)

static void products(void) {
  int64_t rows = below(2) ? size() : 90 + below(300), in = size(), out = size();
  float *x = floats(rows * in), *w = floats(in * out), *dy = floats(rows * out), *y = empty(rows * out), *dx = empty(rows * in), *dw = empty(in * out);
  float *y1 = empty(rows * out), *dx1 = empty(rows * in), *dw1 = empty(in * out);
  double *want = zeros(rows * out), *want_x = zeros(rows * in), *want_w = zeros(in * out);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < in; k++)
      for (int64_t j = 0; j < out; j++) {
        want[i * out + j] += (double)x[i * in + k] * (double)w[k * out + j];
        want_x[i * in + k] += (double)dy[i * out + j] * (double)w[k * out + j];
        want_w[k * out + j] += (double)dy[i * out + j] * (double)x[i * in + k];
      }
  AGAIN(dense(rows, in, out, x, w, y), dense(rows, in, out, x, w, y1));
  AGAIN(dense_to_x(rows, in, out, dy, w, dx), dense_to_x(rows, in, out, dy, w, dx1));
  AGAIN(dense_to_w(rows, in, out, x, dy, dw), dense_to_w(rows, in, out, x, dy, dw1));
  near("dense", y, want, rows * out), near("dense_to_x", dx, want_x, rows * in), near("dense_to_w", dw, want_w, in * out);
  same("dense", y, y1, rows * out), same("dense_to_x", dx, dx1, rows * in), same("dense_to_w", dw, dw1, in * out);
  free(x), free(w), free(dy), free(y), free(dx), free(dw);
}

// plus_product adds x y to z, with x [n, k] and y [k, m]; with turned, x is [k, n].
static void plus_product(const double *x, int turned, const double *y, int64_t n, int64_t k, int64_t m, double *z) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t l = 0; l < k; l++)
      for (int64_t j = 0; j < m; j++) z[i * m + j] += x[turned ? l * n + i : i * k + l] * y[l * m + j];
}

// doubles are n numbers, of a matrix [n/columns, columns]; with turned, the other way round.
static double *doubles(const float *x, int64_t n, int64_t columns, int turned) {
  double *y = zeros(n);
  for (int64_t i = 0; i < n; i++) y[turned ? i % columns * (n / columns) + i / columns : i] = (double)x[i];
  return y;
}

static void changes(void) {
  int64_t rows = below(2) ? size() : 90 + below(300), in = size(), out = size(), rank = 1 + below(below(2) ? 20 : 70);
  float *x = floats(rows * in), *w = floats(in * out), *a = floats(in * rank), *b = floats(rank * out), *dy = floats(rows * out);
  float *y = empty(rows * out), *dx = empty(rows * in), *da = empty(in * rank), *db = empty(rank * out), *y1 = empty(rows * out), *dx1 = empty(rows * in), *da1 = empty(in * rank), *db1 = empty(rank * out);
  AGAIN(changed(rows, in, out, rank, x, w, a, b, y), changed(rows, in, out, rank, x, w, a, b, y1));
  AGAIN(changed_to_x(rows, in, out, rank, dy, w, a, b, dx), changed_to_x(rows, in, out, rank, dy, w, a, b, dx1));
  AGAIN(changed_to_change(rows, in, out, rank, x, a, b, dy, da, db), changed_to_change(rows, in, out, rank, x, a, b, dy, da1, db1));
  double *X = doubles(x, rows * in, in, 0), *D = doubles(dy, rows * out, out, 0), *A = doubles(a, in * rank, rank, 0), *B = doubles(b, rank * out, out, 0), *turned_b = doubles(b, rank * out, out, 1);
  double *all = doubles(w, in * out, out, 0), *turned_all = zeros(in * out), *xa = zeros(rows * rank), *dyb = zeros(rows * rank);
  double *want = zeros(rows * out), *want_x = zeros(rows * in), *want_a = zeros(in * rank), *want_b = zeros(rank * out);
  plus_product(A, 0, B, in, rank, out, all);
  for (int64_t i = 0; i < in * out; i++) turned_all[i % out * in + i / out] = all[i];
  plus_product(X, 0, all, rows, in, out, want), plus_product(D, 0, turned_all, rows, out, in, want_x);
  plus_product(X, 0, A, rows, in, rank, xa), plus_product(D, 0, turned_b, rows, out, rank, dyb);
  plus_product(X, 1, dyb, in, rows, rank, want_a), plus_product(xa, 1, D, rank, rows, out, want_b);
  near("changed", y, want, rows * out), near("changed_to_x", dx, want_x, rows * in), near("the gradient of a", da, want_a, in * rank), near("the gradient of b", db, want_b, rank * out);
  same("changed", y, y1, rows * out), same("changed_to_x", dx, dx1, rows * in), same("the gradient of a", da, da1, in * rank), same("the gradient of b", db, db1, rank * out);
  free(X), free(D), free(A), free(B), free(turned_b), free(all), free(turned_all), free(xa), free(dyb);
  free(x), free(w), free(a), free(b), free(dy), free(y), free(dx), free(da), free(db);
}

// What a change comes to is the same numbers forwards and backwards: rows of an identity show them.
static void one_change(void) {
  int64_t in = size(), out = size(), rank = 1 + below(40);
  float *w = floats(in * out), *a = floats(in * rank), *b = floats(rank * out), *rows = empty(in * in), *columns = empty(out * out), *all = empty(in * out), *turned = empty(out * in), *back = empty(in * out);
  for (int64_t i = 0; i < in * in; i++) rows[i] = i % (in + 1) == 0;
  for (int64_t i = 0; i < out * out; i++) columns[i] = i % (out + 1) == 0;
  changed(in, in, out, rank, rows, w, a, b, all);
  changed_to_x(out, in, out, rank, columns, w, a, b, turned);
  for (int64_t i = 0; i < in * out; i++) back[i] = turned[i % out * in + i / out];
  if (memcmp(all, back, (size_t)(in * out) * sizeof *all)) printf("learning: a changed matrix has other numbers backwards than forwards, level %d\n", level()), exit(1);
  free(w), free(a), free(b), free(rows), free(columns), free(all), free(turned), free(back);
}

static void norms(void) {
  int64_t rows = size(), n = size();
  float eps = 1e-4f, *x = floats(rows * n), *scale = floats(n), *dy = floats(rows * n), *y = empty(rows * n), *dx = empty(rows * n), *ds = empty(n), *dx1 = empty(rows * n), *ds1 = empty(n);
  double *want = zeros(rows * n), *want_x = zeros(rows * n), *want_s = zeros(n);
  for (int64_t i = 0; i < rows; i++) {
    double square = 0, dot = 0;
    for (int64_t j = i * n; j < (i + 1) * n; j++) square += (double)x[j] * (double)x[j], dot += (double)dy[j] * (double)scale[j % n] * (double)x[j];
    double by = 1 / sqrt(square / (double)n + (double)eps);
    for (int64_t j = i * n; j < (i + 1) * n; j++) {
      want[j] = (double)x[j] * by * (double)scale[j % n];
      want_x[j] = by * ((double)dy[j] * (double)scale[j % n] - (double)x[j] * dot * by * by / (double)n);
      want_s[j % n] += (double)dy[j] * (double)x[j] * by;
    }
  }
  norm_rows(rows, n, x, scale, eps, y);
  AGAIN(norm_rows_backward(rows, n, x, scale, dy, eps, dx, ds), norm_rows_backward(rows, n, x, scale, dy, eps, dx1, ds1));
  near("norm_rows", y, want, rows * n), near("norm_rows_backward", dx, want_x, rows * n), near("the gradient of a scale", ds, want_s, n);
  same("norm_rows_backward", dx, dx1, rows * n), same("the gradient of a scale", ds, ds1, n);
  free(x), free(scale), free(dy), free(y), free(dx), free(ds);
}

static void gates(void) {
  int64_t rows = size(), n = size();
  float *h = floats(rows * 2 * n), *dy = floats(rows * n), *y = empty(rows * n), *dh = empty(rows * 2 * n);
  double *want = zeros(rows * n), *want_h = zeros(rows * 2 * n);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++) {
      h[i * 2 * n + j] *= 10;
      double g = (double)h[i * 2 * n + j], u = (double)h[i * 2 * n + n + j], d = (double)dy[i * n + j], s = 1 / (1 + exp(-g));
      want[i * n + j] = g * s * u;
      want_h[i * 2 * n + j] = d * u * s * (1 + g * (1 - s));
      want_h[i * 2 * n + n + j] = d * g * s;
    }
  gate_rows(rows, n, h, y);
  gate_rows_backward(rows, n, h, dy, dh);
  near("gate_rows", y, want, rows * n), near("gate_rows_backward", dh, want_h, rows * 2 * n);
  free(h), free(dy), free(y), free(dh);
}

// turned is a head of a token as attention sees it; back turns the other way.
static void turned(const Segmented *a, const double *x, int64_t i, int turns, int back, double *y) {
  int64_t half = a->head_dim / 2;
  for (int64_t d = 0; d < half; d++) {
    double c = turns ? (double)a->cos[a->positions[i] * half + d] : 1, s = turns ? (double)a->sin[a->positions[i] * half + d] * (back ? -1 : 1) : 0;
    y[d] = x[d] * c - x[d + half] * s, y[d + half] = x[d + half] * c + x[d] * s;
  }
}

// query does one head of one token: all is what qkv comes to when it is turned, slopes the gradient to that.
static void query(const Segmented *a, int64_t i, int64_t h, const double *all, double *mixed, double *slopes) {
  int64_t dim = a->head_dim, width = (a->heads + 2 * a->kv_heads) * dim, kv = h / (a->heads / a->kv_heads), key = (a->heads + kv) * dim, value = (a->heads + a->kv_heads + kv) * dim, first = i;
  while (first % a->tokens && a->segments[first - 1] == a->segments[i]) first--;
  int64_t n = i + 1 - first;
  double *share = zeros(n), *aim = zeros(n), total = 0, mean = 0;
  for (int64_t s = 0; s < n; s++) {
    for (int64_t d = 0; d < dim; d++) share[s] += all[i * width + h * dim + d] * all[(first + s) * width + key + d] * (double)a->scale;
    total += share[s] = exp(share[s]);
  }
  for (int64_t s = 0; s < n; mean += share[s] * aim[s], s++) {
    share[s] /= total;
    for (int64_t d = 0; d < dim; d++) {
      mixed[(i * a->heads + h) * dim + d] += share[s] * all[(first + s) * width + value + d];
      aim[s] += all[(first + s) * width + value + d] * (double)a->d_mixed[(i * a->heads + h) * dim + d];
    }
  }
  for (int64_t s = 0; s < n; s++)
    for (int64_t d = 0; d < dim; d++) {
      double slope = share[s] * (aim[s] - mean) * (double)a->scale;
      slopes[i * width + h * dim + d] += slope * all[(first + s) * width + key + d];
      slopes[(first + s) * width + key + d] += slope * all[i * width + h * dim + d];
      slopes[(first + s) * width + value + d] += share[s] * (double)a->d_mixed[(i * a->heads + h) * dim + d];
    }
  free(share), free(aim);
}

static void heads(const Segmented *a, const double *x, int back, double *y) { // turns all of a gradient or of qkv
  int64_t all = a->heads + 2 * a->kv_heads;
  for (int64_t i = 0; i < a->rows * a->tokens; i++)
    for (int64_t h = 0; h < all; h++) turned(a, x + (i * all + h) * a->head_dim, i, h < a->heads + a->kv_heads, back, y + (i * all + h) * a->head_dim);
}

// packing makes segments of some tokens, and padding behind some.
static void packing(const Segmented *a, int32_t *segments, int32_t *positions) {
  for (int64_t row = 0; row < a->rows; row++) {
    int32_t segment = below(9) ? 1 : 0;
    for (int64_t i = 0, begin = 0, end = 1 + below(a->tokens); i < a->tokens; i++) {
      if (i == end) segment = segment == 0 || below(3) == 0 ? 0 : segment + 1, begin = i, end = segment ? i + 1 + below(a->tokens) : a->tokens;
      segments[row * a->tokens + i] = segment, positions[row * a->tokens + i] = (int32_t)(i - begin);
    }
  }
}

static void attention_of_segments(void) {
  int64_t kv = 1 + below(3);
  Segmented a = {.rows = 1 + below(3), .tokens = size(), .heads = kv * (1 + below(3)), .kv_heads = kv, .head_dim = 2 * (1 + below(below(2) ? 8 : 40)), .scale = .3f};
  a.angles = a.tokens;
  int64_t n = a.rows * a.tokens, width = (a.heads + 2 * kv) * a.head_dim, out = a.heads * a.head_dim;
  int32_t *segments = room(n, sizeof *segments), *positions = room(n, sizeof *positions);
  packing(&a, segments, positions);
  float *cos = floats(a.angles * a.head_dim / 2), *sin = floats(a.angles * a.head_dim / 2), *qkv = floats(n * width), *goal = floats(n * out);
  for (int64_t i = 0; i < a.angles * a.head_dim / 2; i++) sin[i] = sinf(3 * cos[i]), cos[i] = cosf(3 * cos[i]);
  a.segments = segments, a.positions = positions, a.cos = cos, a.sin = sin, a.qkv = qkv;
  const char *wrong = check_segmented(&a);
  if (wrong) printf("learning: %s\n", wrong), exit(1);
  Segmented one = a;
  a.mixed = empty(n * out), a.logsum = empty(n * a.heads), one.mixed = empty(n * out), one.logsum = empty(n * a.heads);
  AGAIN(attend_segments(&a), attend_segments(&one));
  a.d_mixed = one.d_mixed = goal, a.d_qkv = empty(n * width), one.d_qkv = empty(n * width);
  AGAIN(attend_segments_backward(&a), attend_segments_backward(&one));
  double *x = zeros(n * width), *all = zeros(n * width), *mixed = zeros(n * out), *slopes = zeros(n * width), *want = zeros(n * width);
  for (int64_t i = 0; i < n * width; i++) x[i] = (double)qkv[i];
  heads(&a, x, 0, all);
  for (int64_t i = 0; i < n; i++)
    for (int64_t h = 0; h < a.heads && segments[i]; h++) query(&a, i, h, all, mixed, slopes);
  heads(&a, slopes, 1, want);
  near("segments", a.mixed, mixed, n * out), near("segments_backward", a.d_qkv, want, n * width);
  same("segments", a.mixed, one.mixed, n * out), same("sums of segments", a.logsum, one.logsum, n * a.heads), same("segments_backward", a.d_qkv, one.d_qkv, n * width);
  free(segments), free(positions), free(cos), free(sin), free(qkv), free(goal), free(x), free(all), free(slopes), free(a.mixed), free(a.logsum), free(a.d_qkv);
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 100;
  uint64_t first = argc > 2 ? strtoull(argv[2], 0, 10) : 1;
  for (long i = 0; i < rounds; i++) {
    seed = (first + (uint64_t)i) * 0x2545f4914f6cdd1du;
    while (!set_level((int)below(LEVELS))) {}
    many = (int)(2 + below(3));
    products(), changes(), one_change(), norms(), gates(), attention_of_segments();
  }
  printf("learning: %ld rounds, levels 0 to %d\n", rounds, best_level());
  return 0;
}
