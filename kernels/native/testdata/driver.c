// Runs every operation on models and batches of many shapes and compares it with plain loops in double precision; scripts/asan-kernels.sh
// builds it with the sanitizers, scripts/emulate-kernels.sh for levels that this processor lacks. All buffers have exactly the size that they
// must have, so that AddressSanitizer sees a step beside them.
//
//   driver ROUNDS [SEED [LEVEL]]    each round at one level by chance, or all at LEVEL
#include "kernels.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 700, TENSORS = 9 };

static struct { long rounds, steps, rows, draws; } ran[LEVELS];
static uint64_t seed;
static uint32_t next(void) { // splitmix64
  uint64_t z = (seed += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return (uint32_t)(z >> 32);
}
static int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }
static int64_t one_of(const int *list, int n) { return list[below(n)]; }
#define ONE_OF(...) one_of((const int[]){__VA_ARGS__}, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int)))
static float uniform(float size) { return ((float)(next() >> 8) / (float)(1 << 24) - .5f) * 2 * size; }

static void *room(size_t bytes) { // aligned as XLA's buffers are
  void *p;
  if (posix_memalign(&p, 64, bytes ? bytes : 1)) abort();
  memset(p, 0, bytes);
  return p;
}

static float *values(int64_t n, float size) {
  float *x = room((size_t)n * sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = uniform(size);
  return x;
}

// ---- weights: a matrix as it is after packing, [in, out]
static float *unpacked(int w, const char *packed, int64_t in, int64_t out, int gate_up) {
  float *y = room((size_t)(in * out) * sizeof *y);
  for (int64_t k = 0; k < in; k++)
    for (int64_t c = 0; c < out; c++) {
      int64_t column = gate_up ? c % (out / 2) / 16 * 32 + c % (out / 2) % 16 + c / (out / 2) * 16 : c, i = k % BLOCK;
      const char *panel = packed + (size_t)(column / PANEL) * packed_size(w, in, PANEL);
      column %= PANEL;
      size_t block = 2 * PANEL + (w == WEIGHTS_I8 ? BLOCK * PANEL : BLOCK * PANEL / 2);
      const char *b = panel + (size_t)(k / BLOCK) * block;
      float scale = w > WEIGHTS_BF16 ? from_half(((const uint16_t *)b)[column]) : 0;
      const uint8_t *q = (const uint8_t *)b + 2 * PANEL;
      switch (w) {
      case WEIGHTS_F32: y[k * out + c] = ((const float *)panel)[k * PANEL + column]; break;
      case WEIGHTS_BF16: y[k * out + c] = from_bf16(((const uint16_t *)panel)[(k / 2 * PANEL + column) * 2 + k % 2]); break;
      case WEIGHTS_I8: y[k * out + c] = scale * (float)(q[(i / 4 * PANEL + column) * 4 + i % 4] - 128); break;
      case WEIGHTS_I4: y[k * out + c] = scale * (float)((q[(i / 8 * PANEL + column) * 4 + i % 4] >> (i % 8 / 4 * 4) & 15) - 8); break;
      }
    }
  return y;
}

typedef struct {
  Model m;
  Blob b;
  char *blob;
  float *qkv[2], *out[2], *gate_up[2], *down[2], *head; // of two layers at most
} Net;

static int64_t mixed_of(const Model *m) { return m->heads * m->head_dim; }
static int64_t all_of(const Model *m) { return mixed_of(m) + 2 * m->kv_heads * m->head_dim; }

static Model random_model(void) {
  Model m = {.weights = below(WEIGHTS_KINDS), .layers = 1 + below(2), .tied = below(2), .eps = 1e-5f, .vocab = 1 + below(100)};
  m.head_dim = ONE_OF(16, 32, 48, 64, 80, 96, 128, 256);
  m.kv_heads = 1 + below(3);
  m.heads = m.kv_heads * (below(12) ? 1 + below(9) : ONE_OF(24, 40, 70));
  while (m.heads * m.head_dim > 2048 && m.head_dim > 16) m.head_dim = ONE_OF(16, 32, 48, 64, 80); // plain loops in doubles are slow
  m.hidden = m.weights == WEIGHTS_F32 ? 1 + below(200) : m.weights == WEIGHTS_BF16 ? 2 + 2 * below(100) : 32 * (1 + below(6));
  m.ffn = m.weights > WEIGHTS_BF16 ? 32 * (1 + below(8)) : 16 * (1 + below(16));
  if (m.weights > WEIGHTS_BF16 && mixed_of(&m) % 32) m.heads *= 2;
  return m;
}

static Net *make(const Model *m) {
  Net *n = room(sizeof *n);
  n->m = *m;
  blob_of(m, &n->b);
  n->blob = room(n->b.size);
  int64_t sizes[TENSORS] = {m->vocab * m->hidden, m->hidden, m->tied ? 0 : m->hidden * m->vocab, m->hidden, m->hidden * all_of(m), mixed_of(m) * m->hidden, m->hidden, m->hidden * 2 * m->ffn, m->ffn * m->hidden};
  int64_t in[TENSORS] = {1, 1, m->hidden, 1, m->hidden, mixed_of(m), 1, m->hidden, m->ffn};
  for (int64_t l = 0; l < m->layers; l++) {
    float *t[TENSORS];
    for (int i = 0; i < TENSORS; i++) t[i] = values(sizes[i], in[i] == 1 ? 1 : 2 / sqrtf((float)in[i]));
    if (l == 0) pack_front(m, (const float *const *)t, n->blob);
    pack_layer(m, l, (const float *const *)t + 3, n->blob);
    for (int i = 0; i < TENSORS; i++) free(t[i]);
    const char *at = n->blob + n->b.layer * (size_t)l;
    n->qkv[l] = unpacked((int)m->weights, at + n->b.qkv, m->hidden, all_of(m), 0);
    n->out[l] = unpacked((int)m->weights, at + n->b.out, mixed_of(m), m->hidden, 0);
    n->gate_up[l] = unpacked((int)m->weights, at + n->b.gate_up, m->hidden, 2 * m->ffn, 1);
    n->down[l] = unpacked((int)m->weights, at + n->b.down, m->ffn, m->hidden, 0);
  }
  n->head = unpacked((int)m->weights, n->blob + n->b.head, m->hidden, m->vocab, 0);
  return n;
}

static void end(Net *n) {
  for (int l = 0; l < 2; l++) free(n->qkv[l]), free(n->out[l]), free(n->gate_up[l]), free(n->down[l]);
  free(n->head), free(n->blob), free(n);
}

// ---- the reference: one row after the other
typedef struct {
  int64_t seen;
  double *keys[2], *values[2]; // [CONTEXT, kv_heads * head_dim] of each layer
} Past;

static void times(const double *x, const float *w, int64_t in, int64_t out, double *y) {
  for (int64_t c = 0; c < out; c++) y[c] = 0;
  for (int64_t k = 0; k < in; k++)
    for (int64_t c = 0; c < out; c++) y[c] += x[k] * (double)w[k * out + c];
}

static void norm(const Net *n, const double *x, const char *scale, double *y) {
  double sum = 0;
  for (int64_t i = 0; i < n->m.hidden; i++) sum += x[i] * x[i];
  for (int64_t i = 0; i < n->m.hidden; i++) y[i] = x[i] / sqrt(sum / (double)n->m.hidden + (double)n->m.eps) * (double)((const float *)scale)[i];
}

static void turn(double *x, const Run *r, int64_t position, int64_t dim) {
  for (int64_t i = 0; i < dim / 2; i++) {
    double c = (double)r->cos[position * (dim / 2) + i], s = (double)r->sin[position * (dim / 2) + i], a = x[i], b = x[i + dim / 2];
    x[i] = a * c - b * s;
    x[i + dim / 2] = b * c + a * s;
  }
}

static double stored(int kind, double x) {
  return kind == PAGES_F32 ? x : (double)(kind == PAGES_BF16 ? from_bf16(to_bf16((float)x)) : from_half(to_half((float)x)));
}

static void mix_row(const Model *m, const double *q, const double *keys, const double *values, int64_t seen, int64_t head, double *out) {
  double scores[CONTEXT], most = -INFINITY, total = 0;
  int64_t dim = m->head_dim, width = m->kv_heads * dim, from = head / (m->heads / m->kv_heads) * dim;
  for (int64_t i = 0; i < seen; i++) {
    scores[i] = 0;
    for (int64_t d = 0; d < dim; d++) scores[i] += q[d] * keys[i * width + from + d];
    scores[i] /= sqrt((double)dim);
    most = fmax(most, scores[i]);
  }
  for (int64_t d = 0; d < dim; d++) out[d] = 0;
  for (int64_t i = 0; i < seen; i++) {
    double share = exp(scores[i] - most);
    total += share;
    for (int64_t d = 0; d < dim; d++) out[d] += share * values[i * width + from + d];
  }
  for (int64_t d = 0; d < dim; d++) out[d] /= total;
}

static void layer_row(const Net *n, int64_t l, const Run *r, Past *p, double *x) {
  const Model *m = &n->m;
  const char *at = n->blob + n->b.layer * (size_t)l;
  int64_t dim = m->head_dim, width = m->kv_heads * dim, position = p->seen;
  double *h = room((size_t)(all_of(m) + 2 * mixed_of(m) + 2 * m->ffn + 2 * m->hidden) * sizeof *h), *mixed = h + all_of(m), *gate = mixed + mixed_of(m), *y = gate + 2 * m->ffn, *z = y + m->hidden;
  norm(n, x, at + n->b.attn_norm, y);
  times(y, n->qkv[l], m->hidden, all_of(m), h);
  for (int64_t i = 0; i < m->heads + m->kv_heads; i++) turn(h + i * dim, r, position, dim);
  for (int64_t i = 0; i < width; i++) {
    p->keys[l][position * width + i] = stored(r->page_kind, h[mixed_of(m) + i]);
    p->values[l][position * width + i] = stored(r->page_kind, h[mixed_of(m) + width + i]);
  }
  for (int64_t i = 0; i < m->heads; i++) mix_row(m, h + i * dim, p->keys[l], p->values[l], position + 1, i, mixed + i * dim);
  times(mixed, n->out[l], mixed_of(m), m->hidden, z);
  for (int64_t i = 0; i < m->hidden; i++) x[i] += z[i];
  norm(n, x, at + n->b.mlp_norm, y);
  times(y, n->gate_up[l], m->hidden, 2 * m->ffn, gate);
  for (int64_t i = 0; i < m->ffn; i++) gate[i] = gate[i] / (1 + exp(-gate[i])) * gate[m->ffn + i];
  times(gate, n->down[l], m->ffn, m->hidden, z);
  for (int64_t i = 0; i < m->hidden; i++) x[i] += z[i];
  free(h);
}

static void reference_row(const Net *n, const Run *r, Past *p, const float *embedded, double *logits) {
  double *x = room((size_t)n->m.hidden * 2 * sizeof *x), *y = x + n->m.hidden;
  for (int64_t i = 0; i < n->m.hidden; i++) x[i] = (double)embedded[i];
  for (int64_t l = 0; l < n->m.layers; l++) layer_row(n, l, r, p, x);
  p->seen++;
  norm(n, x, n->blob + n->b.final_norm, y);
  times(y, n->head, n->m.hidden, n->m.vocab, logits);
  free(x);
}

// ---- the operations on one batch
static void fail(const Net *n, const Run *r, const char *what, double got, double want) {
  const Model *m = &n->m;
  printf("driver: %s: %g; want %g: level %d, threads %d, weights %ld, hidden %ld, heads %ld/%ld of %ld, ffn %ld, vocab %ld, layers %ld, tied %ld, pages %d of %ld, %ld seqs of %ld tokens\n", what, got, want,
         level(), threads(), (long)m->weights, (long)m->hidden, (long)m->heads, (long)m->kv_heads, (long)m->head_dim, (long)m->ffn, (long)m->vocab, (long)m->layers, (long)m->tied, r->page_kind, (long)r->page_tokens,
         (long)r->seqs, (long)r->tokens);
  exit(1);
}

// tolerance is relative to the size of all logits: 8-bit activations, keys and values that fall on the other side of a rounding, f32 sums.
static double tolerance(const Model *m, const Run *r) { return m->weights > WEIGHTS_BF16 ? .15 : r->page_kind == PAGES_I8 ? 5e-2 : r->page_kind == PAGES_BF16 ? 3e-2 : r->page_kind == PAGES_F16 ? 4e-3 : 3e-5; }

static void embedding_is(const Net *n, const Run *r, int64_t token, const float *got) {
  for (int64_t k = 0; n->m.tied && k < n->m.hidden; k++)
    if (got[k] != n->head[k * n->m.vocab + token]) fail(n, r, "embedding", (double)got[k], (double)n->head[k * n->m.vocab + token]);
}

static void step(const Net *n, Run *r, int32_t *batch, Past *past) {
  const Model *m = &n->m;
  int64_t rows = r->seqs * r->tokens, width = 3 * r->tokens + r->pages + 1;
  ran[level()].steps++, ran[level()].rows += rows;
  const char *wrong = check_run(m, r);
  if (wrong) printf("driver: %s\n", wrong), exit(1);
  float *x = room((size_t)(rows * m->hidden) * sizeof *x), *y = room((size_t)(rows * m->hidden) * sizeof *x), *logits = room((size_t)(rows * m->vocab) * sizeof *x);
  embed(m, n->blob, r, x);
  float *embedded = room((size_t)(rows * m->hidden) * sizeof *x);
  memcpy(embedded, x, (size_t)(rows * m->hidden) * sizeof *x);
  for (int64_t l = 0; l < m->layers; l++) {
    attention(m, n->blob, l, r, x, y);
    mlp(m, n->blob, l, rows, y, x);
  }
  head(m, n->blob, rows, x, logits);
  final_norm(m, n->blob, rows, x, y);
  double off = 0, size = 0, *want = room((size_t)m->vocab * sizeof *want);
  for (int64_t i = 0; i < rows; i++) {
    embedding_is(n, r, batch[i / r->tokens * width + i % r->tokens], embedded + i * m->hidden);
    reference_row(n, r, &past[i / r->tokens], embedded + i * m->hidden, want);
    for (int64_t c = 0; c < m->vocab; c++) off += pow((double)logits[i * m->vocab + c] - want[c], 2), size += want[c] * want[c];
  }
  if (!(sqrt(off) <= tolerance(m, r) * sqrt(size))) fail(n, r, "logits differ by", sqrt(off / size), tolerance(m, r));
  free(want), free(x), free(y), free(logits), free(embedded);
}

// ---- rounds
static void line_of(const Model *m, const Run *r, int32_t *line, const int32_t *own, int64_t start) {
  for (int64_t t = 0; t < r->tokens; t++) {
    int64_t at = start + t;
    line[t] = (int32_t)below(m->vocab), line[r->tokens + t] = (int32_t)at;
    line[2 * r->tokens + t] = own[at / r->page_tokens] * (int32_t)r->page_tokens + (int32_t)(at % r->page_tokens);
  }
  memcpy(line + 3 * r->tokens, own, (size_t)r->pages * sizeof *own);
}

static void feed(const Net *n, Run *r, const int32_t *own, Past *past, int64_t tokens) {
  r->tokens = tokens;
  int64_t width = 3 * tokens + r->pages + 1;
  int32_t *batch = room((size_t)(r->seqs * width) * sizeof *batch);
  for (int64_t s = 0; s < r->seqs; s++) line_of(&n->m, r, batch + s * width, own + s * r->pages, past[s].seen);
  r->batch = batch;
  step(n, r, batch, past);
  free(batch);
}

static void copies(const Model *m, Run *r) {
  size_t page = page_bytes(r->page_kind, r->page_tokens, m->head_dim) * (size_t)m->kv_heads;
  int32_t from[2] = {0, (int32_t)r->pool_pages - 1}, to[2] = {(int32_t)r->pool_pages - 1, -1};
  copy_pages(m, r, 2, from, to);
  for (int64_t l = 0; l < 2 * m->layers; l++) {
    const char *pool = (const char *)r->pool + page * (size_t)(r->pool_pages * l);
    if (memcmp(pool, pool + page * (size_t)(r->pool_pages - 1), page)) printf("driver: a page is not copied in layer %ld\n", (long)l / 2), exit(1);
  }
}

static void sequences(const Net *n, Run *r, int64_t context) {
  const Model *m = &n->m;
  int32_t *own = room((size_t)(r->seqs * r->pages) * sizeof *own), *order = room((size_t)r->pool_pages * sizeof *order);
  for (int64_t i = 0; i < r->pool_pages; i++) {
    int64_t j = below(i + 1);
    order[i] = order[j], order[j] = (int32_t)i;
  }
  memcpy(own, order, (size_t)(r->seqs * r->pages) * sizeof *own);
  Past past[4] = {0};
  for (int64_t s = 0; s < r->seqs; s++)
    for (int64_t l = 0; l < m->layers; l++) {
      past[s].keys[l] = room((size_t)(CONTEXT * m->kv_heads * m->head_dim) * sizeof(double));
      past[s].values[l] = room((size_t)(CONTEXT * m->kv_heads * m->head_dim) * sizeof(double));
    }
  while (past[0].seen < context - 3) {
    int64_t left = context - 3 - past[0].seen;
    feed(n, r, own, past, below(3) ? left : 1 + below(left));
  }
  while (past[0].seen < context) feed(n, r, own, past, 1);
  copies(m, r);
  for (int64_t s = 0; s < r->seqs; s++)
    for (int64_t l = 0; l < m->layers; l++) free(past[s].keys[l]), free(past[s].values[l]);
  free(own), free(order);
}

// draw_rows: greedy rows give the largest logit, others one that top-k leaves.
static void draw_rows(void) {
  int64_t rows = 1 + below(5), vocab = 1 + below(below(2) ? 40 : 3000);
  float *logits = values(rows * vocab, 8);
  int32_t *parameters = room((size_t)rows * 6 * sizeof *parameters), *results = room((size_t)rows * 4 * sizeof *results);
  for (int64_t i = 0; i < rows; i++) {
    union { float f; int32_t i; } scale = {below(3) ? uniform(1) + 1.5f : 0}, top_p = {below(2) ? 2 : uniform(.5f) + .5f};
    int32_t line[6] = {(int32_t)next(), (int32_t)next(), scale.i, 0x7ffffffe, (int32_t)(below(2) ? vocab : 1 + below(vocab)), top_p.i};
    memcpy(parameters + 6 * i, line, sizeof line);
  }
  draws(logits, rows, vocab, parameters, results);
  ran[level()].draws += rows;
  for (int64_t i = 0; i < rows; i++) {
    const float *x = logits + i * vocab;
    int64_t token = results[4 * i], nearer = 0;
    if (token < 0 || token >= vocab || results[4 * i + 1] != 0) printf("driver: draw: token %ld of %ld, status %d\n", (long)token, (long)vocab, results[4 * i + 1]), exit(1);
    for (int64_t j = 0; j < vocab; j++) nearer += x[j] > x[token];
    if (parameters[6 * i + 2] == 0 ? nearer > 0 : nearer >= parameters[6 * i + 4]) printf("driver: draw: %ld tokens are before the one drawn\n", (long)nearer), exit(1);
  }
  free(logits), free(parameters), free(results);
}

static void round_of_all(int at) {
  int by_chance = (int)below(LEVELS);
  while (!has_level(by_chance)) by_chance--;
  set_level(at < 0 ? by_chance : at);
  ran[level()].rounds++;
  set_threads((int)(1 + below(4)));
  Model m = random_model();
  const char *wrong = check_model(&m);
  if (wrong) printf("driver: %s\n", wrong), exit(1);
  Net *n = make(&m);
  int64_t context = below(4) ? 4 + below(60) : 4 + below(CONTEXT - 4);
  Run r = {.seqs = 1 + below(4), .positions = context, .page_tokens = ONE_OF(16, 32, 64, 128, 256), .page_kind = (int)below(PAGES_KINDS)};
  r.pages = (context + r.page_tokens - 1) / r.page_tokens;
  r.pool_pages = r.seqs * r.pages + 1 + below(3);
  r.pool = room(page_bytes(r.page_kind, r.page_tokens, m.head_dim) * (size_t)(m.kv_heads * r.pool_pages * 2 * m.layers));
  float *cos = values(context * m.head_dim / 2, 1), *sin = values(context * m.head_dim / 2, 1);
  r.cos = cos, r.sin = sin;
  sequences(n, &r, context);
  free(cos), free(sin), free(r.pool);
  end(n);
  for (int i = 0; i < 20; i++) draw_rows();
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 100;
  uint64_t first = argc > 2 ? strtoull(argv[2], 0, 10) : 1;
  int only = argc > 3 ? atoi(argv[3]) : -1;
  if (only >= 0 && !has_level(only)) printf("driver: no level %d here; the best is %d\n", only, best_level()), exit(1);
  for (long i = 0; i < rounds; i++) {
    seed = (first + (uint64_t)i) * 0x2545f4914f6cdd1du;
    round_of_all(only);
    if (i % 20 == 19) printf("driver: round %ld\n", i + 1), fflush(stdout);
  }
  for (int l = 0; l < LEVELS; l++)
    if (ran[l].rounds) printf("driver: level %d: %ld models, %ld batches of %ld rows, %ld draws\n", l, ran[l].rounds, ran[l].steps, ran[l].rows, ran[l].draws);
  return 0;
}
