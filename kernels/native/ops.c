// The parts of a Llama: each is a few parallel loops over panels, rows or heads.
#include "kernels.h"
#include <stdlib.h>
#include <string.h>

static int rounds(int64_t weights) { return weights == WEIGHTS_I8 || weights == WEIGHTS_I4; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// grain cuts n pieces of work so that each thread gets about four tasks.
static int64_t grain(int64_t n) { return most(1, n / (4 * (int64_t)threads())); }

// ---- rows made ready for a product: normed if there is a scale, rounded if the weights want it.
typedef struct {
  int64_t in;
  int round;
  float eps;
  const float *x, *scale; // scale 0: not normed
  void *to;
} Ready;

static size_t ready_row(int64_t in, int round) { return round ? (size_t)(in / BLOCK) * sizeof(Rounded) : (size_t)in * sizeof(float); }

static void ready_rows(void *arg, int64_t from, int64_t to) {
  Ready *r = arg;
  const Kernels *k = kernels();
  for (int64_t i = from; i < to; i++) {
    const float *x = r->x + i * r->in;
    char *at = (char *)r->to + (size_t)i * ready_row(r->in, r->round);
    if (!r->round) {
      k->normed(x, r->scale, r->in, r->eps, (float *)at);
      continue;
    }
    if (r->scale) {
      float *y = scratch(SCRATCH_TASK, (size_t)r->in * sizeof *y);
      k->normed(x, r->scale, r->in, r->eps, y);
      x = y;
    }
    k->rounded(x, r->in, (Rounded *)at);
  }
}

// ready gives rows as the product of these weights takes them: x itself, or in the scratch memory of slot.
static const void *ready(int64_t weights, const float *x, const float *scale, float eps, int64_t rows, int64_t in, int slot) {
  if (!scale && !rounds(weights)) return x;
  Ready r = {in, rounds(weights), eps, x, scale, scratch(slot, (size_t)rows * ready_row(in, rounds(weights)))};
  if (rows < 4) ready_rows(&r, 0, rows); // shorter than waking somebody
  else parallel(ready_rows, &r, rows, grain(rows));
  return r.to;
}

// ---- products, with what follows them done panel by panel while the results are in the cache
enum { PLAIN, ADD, GATE }; // y = xw; y = xw + rest; y[j] = silu(gate) * up
enum { TILE_ROWS = 96 };

typedef struct {
  int weights, then;
  const char *w;
  const void *x;
  int64_t rows, in, out;
  const float *rest;
  float *y;
} Product;

static void finish(const Product *p, int64_t panel, int64_t row, int64_t rows, const float *tile) {
  const Kernels *k = kernels();
  for (int64_t i = 0; i < rows; i++, tile += PANEL) {
    if (p->then == GATE) {
      k->gated(tile, tile + 16, p->y + (row + i) * (p->out / 2) + panel * 16);
      continue;
    }
    int64_t at = (row + i) * p->out + panel * PANEL, n = least(PANEL, p->out - panel * PANEL);
    if (p->then == ADD) k->added(tile, p->rest + at, n, p->y + at);
    else memcpy(p->y + at, tile, (size_t)n * sizeof *tile);
  }
}

static void product_panels(void *arg, int64_t from, int64_t to) {
  const Product *p = arg;
  size_t panel_size = packed_size(p->weights, p->in, PANEL), row = ready_row(p->in, rounds(p->weights)); // a panel is a multiple of 64 bytes
  float tile[TILE_ROWS * PANEL] __attribute__((aligned(64)));
  for (int64_t i = 0; i < p->rows; i += TILE_ROWS) // these rows stay in the second cache while panels pass
    for (int64_t panel = from; panel < to; panel++) {
      int64_t rows = least(TILE_ROWS, p->rows - i);
      kernels()->product(p->weights, p->w + (size_t)panel * panel_size, (const char *)p->x + (size_t)i * row, rows, p->in, tile, PANEL);
      finish(p, panel, i, rows, tile);
    }
}

static void run_product(const Product *p) {
  int64_t panels = (p->out + PANEL - 1) / PANEL;
  parallel(product_panels, (void *)p, panels, grain(panels));
}

void multiply(int weights, const void *w, int64_t in, int64_t out, int64_t rows, const float *x, float *y) {
  Product p = {weights, PLAIN, w, ready(weights, x, 0, 0, rows, in, SCRATCH_X), rows, in, out, 0, y};
  run_product(&p);
}

void mlp(const Model *m, const char *blob, int64_t layer, int64_t rows, const float *x, float *y) {
  Blob b;
  blob_of(m, &b);
  const char *at = blob + b.layer * (size_t)layer;
  int w = (int)m->weights;
  float *h = scratch(SCRATCH_Y, (size_t)(rows * m->ffn) * sizeof *h);
  Product up = {w, GATE, at + b.gate_up, ready(w, x, (const float *)(at + b.mlp_norm), m->eps, rows, m->hidden, SCRATCH_X), rows, m->hidden, 2 * m->ffn, 0, h};
  run_product(&up);
  Product down = {w, ADD, at + b.down, ready(w, h, 0, 0, rows, m->ffn, SCRATCH_X), rows, m->ffn, m->hidden, x, y};
  run_product(&down);
}

void head(const Model *m, const char *blob, int64_t rows, const float *x, float *logits) {
  Blob b;
  blob_of(m, &b);
  int w = (int)m->weights;
  Product p = {w, PLAIN, blob + b.head, ready(w, x, (const float *)(blob + b.final_norm), m->eps, rows, m->hidden, SCRATCH_X), rows, m->hidden, m->vocab, 0, logits};
  run_product(&p);
}

void final_norm(const Model *m, const char *blob, int64_t rows, const float *x, float *y) {
  Blob b;
  blob_of(m, &b);
  Ready r = {m->hidden, 0, m->eps, x, (const float *)(blob + b.final_norm), y};
  parallel(ready_rows, &r, rows, grain(rows));
}

// ---- attention
size_t page_bytes(int kind, int64_t page_tokens, int64_t head_dim) {
  size_t n = (size_t)(page_tokens * head_dim);
  return kind == PAGES_I8 ? n + (size_t)page_tokens * sizeof(float) : n * (kind == PAGES_F32 ? 4 : 2);
}

static int64_t width(const Run *r) { return 3 * r->tokens + r->pages + 1; }
static const int32_t *line(const Run *r, int64_t seq) { return r->batch + seq * width(r); }

typedef struct {
  const Model *m;
  const Run *r;
  float *qkv, *mixed; // [rows, (heads + 2 kv_heads) * head_dim], [rows, heads * head_dim]
  char *keys, *values;
  size_t page, stride; // bytes of one head's page, and of all heads'
  int64_t block;       // tokens whose queries are one task
} Attention;

static void put(int kind, char *page, int64_t at, float x) {
  const float most = kind == PAGES_F16 ? 65504 : 0x1.fep127f;
  if (!(x - x == 0)) x = 0; // what masked positions are multiplied by must be finite, whoever owns the page next
  if (kind != PAGES_F32) x = x > most ? most : x < -most ? -most : x;
  if (kind == PAGES_F32) ((float *)page)[at] = x;
  else ((uint16_t *)page)[at] = kind == PAGES_F16 ? to_half(x) : to_bf16(x);
}

// put_row writes a head's n values, each `step` behind the last, in 8 bits; *scale is its position's.
static void put_row(int8_t *to, int64_t step, int64_t n, const float *x, float *scale) {
  float most = 0;
  for (int64_t i = 0; i < n; i++) most = x[i] - x[i] == 0 && __builtin_fabsf(x[i]) > most ? __builtin_fabsf(x[i]) : most;
  *scale = most / 127;
  float by = *scale > 0 ? 1 / *scale : 0;
  for (int64_t i = 0; i < n; i++) {
    float q = x[i] - x[i] == 0 ? __builtin_rintf(x[i] * by) : 0;
    to[i * step] = (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q);
  }
}

// store_row writes the keys and values of one row to its slot.
static void store_row(const Attention *a, const float *k, const float *v, int32_t slot) {
  int64_t tokens = a->r->page_tokens, dim = a->m->head_dim, offset = slot % tokens;
  for (int64_t h = 0; h < a->m->kv_heads; h++) {
    size_t at = (size_t)(slot / tokens) * a->stride + (size_t)h * a->page, scales = at + (size_t)(tokens * dim + offset * (int64_t)sizeof(float));
    if (a->r->page_kind == PAGES_I8) {
      put_row((int8_t *)a->keys + at + offset, tokens, dim, k + h * dim, (float *)(a->keys + scales));
      put_row((int8_t *)a->values + at + offset * dim, 1, dim, v + h * dim, (float *)(a->values + scales));
      continue;
    }
    for (int64_t d = 0; d < dim; d++) {
      put(a->r->page_kind, a->keys + at, d * tokens + offset, k[h * dim + d]);
      put(a->r->page_kind, a->values + at, offset * dim + d, v[h * dim + d]);
    }
  }
}

static void turn_rows(void *arg, int64_t from, int64_t to) {
  const Attention *a = arg;
  const Model *m = a->m;
  const Run *r = a->r;
  int64_t dim = m->head_dim, heads = m->heads + m->kv_heads;
  for (int64_t i = from; i < to; i++) {
    const int32_t *l = line(r, i / r->tokens);
    int64_t position = l[r->tokens + i % r->tokens], slot = l[2 * r->tokens + i % r->tokens];
    float *x = a->qkv + i * (heads + m->kv_heads) * dim;
    for (int64_t h = 0; h < heads; h++) kernels()->turned(x + h * dim, r->cos + position * (dim / 2), r->sin + position * (dim / 2), dim);
    if (slot >= 0) store_row(a, x + m->heads * dim, x + heads * dim, (int32_t)slot);
  }
}

// Rows are the queries of one task: those of a kv head, of tokens [first, last) of a Sequence, from g0 on in its group.
typedef struct {
  const float *q[QUERIES];
  float *out[QUERIES];
  int32_t seen[QUERIES];
} Rows;

static Queries queries(const Attention *a, Rows *to, int64_t seq, int64_t head, int64_t first, int64_t g0, float *room) {
  const Model *m = a->m;
  const Run *r = a->r;
  int64_t dim = m->head_dim, group = m->heads / m->kv_heads, last = least(first + a->block, r->tokens), g1 = least(group, g0 + QUERIES / a->block);
  const int32_t *l = line(r, seq);
  Queries s = {.head_dim = dim, .page_tokens = r->page_tokens, .q = to->q, .out = to->out, .seen = to->seen, .scale = 1 / __builtin_sqrtf((float)dim), .table = l + 3 * r->tokens,
               .keys = a->keys + (size_t)head * a->page, .values = a->values + (size_t)head * a->page, .page_stride = a->stride,
               .kind = r->page_kind, .room = room};
  for (int64_t t = first; t < last; t++)
    for (int64_t g = g0; g < g1; g++, s.n++) {
      int64_t row = seq * r->tokens + t, h = head * group + g;
      to->q[s.n] = a->qkv + (row * (m->heads + 2 * m->kv_heads) + h) * dim;
      to->out[s.n] = a->mixed + (row * m->heads + h) * dim;
      to->seen[s.n] = l[r->tokens + t] + 1;
    }
  return s;
}

static void attend_tasks(void *arg, int64_t from, int64_t to) {
  const Attention *a = arg;
  int64_t group = a->m->heads / a->m->kv_heads, blocks = (a->r->tokens + a->block - 1) / a->block;
  float *room = scratch(SCRATCH_TASK, attention_room(a->m->head_dim) * sizeof *room);
  Rows rows;
  for (int64_t task = from; task < to; task++)
    for (int64_t g0 = 0; g0 < group; g0 += QUERIES / a->block) {
      Queries s = queries(a, &rows, task / a->m->kv_heads / blocks, task % a->m->kv_heads, task / a->m->kv_heads % blocks * a->block, g0, room);
      kernels()->attend(&s);
    }
}

// Split is a decode whose spans are tasks of their own: those of a Sequence's first kv head, then those of its second.
typedef struct {
  const Attention *a;
  int64_t *first; // span of each Sequence, and one past the last
  float *sums;    // [spans, group, head_dim]
  Shares *shares; // [spans, group]
} Split;

static int64_t spans_of(const Run *r, int64_t seq) { return line(r, seq)[1] / SPAN + 1; }

static void split_tasks(void *arg, int64_t from, int64_t to) {
  const Split *s = arg;
  const Model *m = s->a->m;
  int64_t group = m->heads / m->kv_heads, seq = 0;
  float *room = scratch(SCRATCH_TASK, attention_room(m->head_dim) * sizeof *room);
  Rows rows;
  for (int64_t task = from; task < to; task++) {
    while (task >= s->first[seq + 1]) seq++;
    int64_t spans = spans_of(s->a->r, seq), at = task - s->first[seq];
    for (int64_t g0 = 0; g0 < group; g0 += QUERIES) {
      Queries q = queries(s->a, &rows, seq, at / spans, 0, g0, room);
      kernels()->attend_span(&q, at % spans, s->sums + (task * group + g0) * m->head_dim, s->shares + task * group + g0);
    }
  }
}

// join_tasks makes the outputs of a Sequence's kv head from its spans.
static void join_tasks(void *arg, int64_t from, int64_t to) {
  const Split *s = arg;
  const Model *m = s->a->m;
  int64_t dim = m->head_dim, group = m->heads / m->kv_heads;
  for (int64_t task = from; task < to; task++) {
    int64_t seq = task / m->kv_heads, head = task % m->kv_heads, spans = spans_of(s->a->r, seq), first = (s->first[seq] + head * spans) * group;
    for (int64_t g = 0; g < group; g++) {
      float *sums = s->sums + (first + g) * dim, *out = s->a->mixed + (seq * m->heads + head * group + g) * dim;
      Shares *shares = s->shares + first + g;
      for (int64_t i = group; i < spans * group; i += group) kernels()->joined(sums, shares, sums + i * dim, shares + i, dim);
      for (int64_t d = 0; d < dim; d++) out[d] = sums[d] / shares->total;
    }
  }
}

// split_decode attends span by span where the longest Sequence would keep others waiting, or gives 0. Its numbers are attend's.
static int split_decode(const Attention *a) {
  const Model *m = a->m;
  const Run *r = a->r;
  enum { MOST_SPLIT = 1 << 24 }; // floats that spans may leave
  int64_t longest = 0, spans = 0, group = m->heads / m->kv_heads;
  for (int64_t i = 0; i < r->seqs; i++) longest = most(longest, spans_of(r, i)), spans += spans_of(r, i) * m->kv_heads;
  if (longest == 1 || threads() == 1 || spans >= 2 * threads() * longest || spans * group * m->head_dim > MOST_SPLIT) return 0;
  int64_t *first = scratch(SCRATCH_X, (size_t)(r->seqs + 1) * sizeof *first + (size_t)(spans * group) * ((size_t)m->head_dim * sizeof(float) + sizeof(Shares)));
  Split s = {a, first, (float *)(first + r->seqs + 1), 0};
  s.shares = (Shares *)(s.sums + spans * group * m->head_dim);
  first[0] = 0;
  for (int64_t i = 0; i < r->seqs; i++) first[i + 1] = first[i] + spans_of(r, i) * m->kv_heads;
  parallel(split_tasks, &s, spans, grain(spans));
  parallel(join_tasks, &s, r->seqs * m->kv_heads, grain(r->seqs * m->kv_heads));
  return 1;
}

void attention(const Model *m, const char *blob, int64_t layer, const Run *r, const float *x, float *y) {
  Blob b;
  blob_of(m, &b);
  const char *at = blob + b.layer * (size_t)layer;
  int w = (int)m->weights;
  int64_t rows = r->seqs * r->tokens, all = (m->heads + 2 * m->kv_heads) * m->head_dim, mixed = m->heads * m->head_dim;
  Attention a = {.m = m, .r = r, .page = page_bytes(r->page_kind, r->page_tokens, m->head_dim)};
  a.stride = a.page * (size_t)m->kv_heads;
  a.keys = (char *)r->pool + a.stride * (size_t)(r->pool_pages * 2 * layer);
  a.values = a.keys + a.stride * (size_t)r->pool_pages;
  a.qkv = scratch(SCRATCH_Y, (size_t)(rows * all) * sizeof *a.qkv);
  a.mixed = scratch(SCRATCH_Z, (size_t)(rows * mixed) * sizeof *a.mixed);
  a.block = r->tokens == 1 ? 1 : most(1, least(16, QUERIES / (m->heads / m->kv_heads)));

  Product qkv = {w, PLAIN, at + b.qkv, ready(w, x, (const float *)(at + b.attn_norm), m->eps, rows, m->hidden, SCRATCH_X), rows, m->hidden, all, 0, a.qkv};
  run_product(&qkv);
  if (rows < 4) turn_rows(&a, 0, rows);
  else parallel(turn_rows, &a, rows, grain(rows));
  if (r->tokens > 1 || !split_decode(&a)) parallel(attend_tasks, &a, r->seqs * m->kv_heads * ((r->tokens + a.block - 1) / a.block), 1);
  Product out = {w, ADD, at + b.out, ready(w, a.mixed, 0, 0, rows, mixed, SCRATCH_X), rows, mixed, m->hidden, x, y};
  run_product(&out);
}

// ---- tokens
// from_head reads an embedding out of a tied head: column token of its panels.
static void from_head(const Model *m, const char *packed, int64_t token, float *y) {
  int w = (int)m->weights;
  const char *panel = packed + (size_t)(token / PANEL) * packed_size(w, m->hidden, PANEL);
  int64_t c = token % PANEL;
  for (int64_t k = 0; k < m->hidden; k++) {
    const char *block = panel + (size_t)(k / BLOCK) * (w == WEIGHTS_I8 ? BLOCK_I8 : BLOCK_I4);
    float scale = w > WEIGHTS_BF16 ? from_half(((const uint16_t *)block)[c]) : 0;
    switch (w) {
    case WEIGHTS_F32: y[k] = ((const float *)panel)[k * PANEL + c]; break;
    case WEIGHTS_BF16: y[k] = from_bf16(((const uint16_t *)panel)[(k / 2 * PANEL + c) * 2 + k % 2]); break;
    default: y[k] = scale * (float)int_weight(w, block, (int)(k % BLOCK), c); break;
    }
  }
}

void embed(const Model *m, const char *blob, const Run *r, float *y) {
  Blob b;
  blob_of(m, &b);
  for (int64_t i = 0; i < r->seqs * r->tokens; i++, y += m->hidden) {
    int64_t token = line(r, i / r->tokens)[i % r->tokens];
    const char *rows = blob + b.embed;
    if (!b.embed) from_head(m, blob + b.head, token, y);
    else if (m->weights == WEIGHTS_F32) memcpy(y, (const float *)rows + token * m->hidden, (size_t)m->hidden * sizeof *y);
    else
      for (int64_t k = 0; k < m->hidden; k++) y[k] = from_bf16(((const uint16_t *)rows)[token * m->hidden + k]);
  }
}

void copy_pages(const Model *m, const Run *r, int64_t n, const int32_t *from, const int32_t *to) {
  size_t page = page_bytes(r->page_kind, r->page_tokens, m->head_dim) * (size_t)m->kv_heads;
  for (int64_t l = 0; l < 2 * m->layers; l++) {
    char *pool = (char *)r->pool + page * (size_t)(r->pool_pages * l);
    for (int64_t i = 0; i < n; i++)
      if (to[i] >= 0) memcpy(pool + page * (size_t)to[i], pool + page * (size_t)from[i], page);
  }
}

typedef struct {
  const float *logits;
  int64_t vocab;
  const int32_t *parameters;
  int32_t *results;
} Draws;

static void draw_rows(void *arg, int64_t from, int64_t to) {
  const Draws *d = arg;
  for (int64_t i = from; i < to; i++) kernels()->draw(d->logits + i * d->vocab, d->vocab, d->parameters + 6 * i, d->results + 4 * i);
}

void draws(const float *logits, int64_t rows, int64_t vocab, const int32_t *parameters, int32_t *results) {
  Draws d = {logits, vocab, parameters, results};
  parallel(draw_rows, &d, rows, 1);
}

// ---- checks
const char *check_model(const Model *m) {
  if (m->weights < 0 || m->weights >= WEIGHTS_KINDS) return "unknown kind of weights";
  if (m->hidden < 1 || m->heads < 1 || m->kv_heads < 1 || m->head_dim < 1 || m->ffn < 1 || m->layers < 1 || m->vocab < 1) return "a size is not positive";
  if (m->hidden > 1 << 20 || m->ffn > 1 << 22 || m->vocab > 1 << 24 || m->layers > 1 << 12 || m->heads > 1 << 12 || m->head_dim > 1 << 12) return "a size is too large";
  if (m->heads % m->kv_heads) return "heads are not a multiple of kv heads";
  if (m->head_dim % 16 || m->ffn % 16) return "the head's size and the feed-forward network's must be multiples of 16";
  if (m->weights > WEIGHTS_BF16 && (m->hidden % BLOCK || m->ffn % BLOCK || m->heads * m->head_dim % BLOCK)) return "with 8 or 4 bits all widths must be multiples of 32";
  if (m->weights == WEIGHTS_BF16 && m->hidden % 2) return "with bf16 widths must be even";
  return 0;
}

const char *check_tokens(const Model *m, const Run *r) {
  for (int64_t i = 0; i < r->seqs * r->tokens; i++) {
    int32_t token = line(r, i / r->tokens)[i % r->tokens];
    if (token < 0 || token >= m->vocab) return "a token is not in the vocabulary";
  }
  return 0;
}

const char *check_run(const Model *m, const Run *r) {
  if (r->page_kind < 0 || r->page_kind >= PAGES_KINDS) return "unknown kind of pages";
  if (r->page_tokens < 16 || r->page_tokens % 16 || r->page_tokens > SPAN || SPAN % r->page_tokens) return "a page must hold 16, 32, 64, 128 or 256 tokens";
  const char *wrong = check_tokens(m, r);
  for (int64_t s = 0; s < r->seqs && !wrong; s++) {
    const int32_t *l = line(r, s);
    int64_t last = -1;
    for (int64_t t = 0; t < r->tokens; t++) {
      int32_t position = l[r->tokens + t], slot = l[2 * r->tokens + t];
      if (position < 0 || position >= r->positions || position >= r->pages * r->page_tokens) return "a position is outside of the context";
      if (slot < -1 || slot >= r->pool_pages * r->page_tokens) return "a slot is outside of the pool";
      last = most(last, position);
    }
    for (int64_t p = 0; p * r->page_tokens <= last; p++)
      if (l[3 * r->tokens + p] < 0 || l[3 * r->tokens + p] >= r->pool_pages) return "a page is outside of the pool";
  }
  return wrong;
}
