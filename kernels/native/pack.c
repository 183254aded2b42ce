// Where a model's parts are, and how matrices are packed.
#include "kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t round_up(size_t n) { return (n + 63) & ~(size_t)63; }
static int64_t panels_of(int64_t out) { return (out + PANEL - 1) / PANEL; }

static size_t panel_size(int weights, int64_t in) {
  switch (weights) {
  case WEIGHTS_F32: return (size_t)in * PANEL * 4;
  case WEIGHTS_BF16: return (size_t)(in + 1) / 2 * PANEL * 4;
  case WEIGHTS_I8: return (size_t)(in / BLOCK) * BLOCK_I8;
  }
  return (size_t)(in / BLOCK) * BLOCK_I4;
}

size_t packed_size(int weights, int64_t in, int64_t out) { return round_up(panel_size(weights, in) * (size_t)panels_of(out)); }

void blob_of(const Model *m, Blob *b) {
  int w = (int)m->weights;
  size_t at = 0, vector = round_up((size_t)m->hidden * 4);
  int64_t mixed = m->heads * m->head_dim;
  b->attn_norm = at, at += vector;
  b->qkv = at, at += packed_size(w, m->hidden, mixed + 2 * m->kv_heads * m->head_dim);
  b->out = at, at += packed_size(w, mixed, m->hidden);
  b->mlp_norm = at, at += vector;
  b->gate_up = at, at += packed_size(w, m->hidden, 2 * m->ffn);
  b->down = at, at += packed_size(w, m->ffn, m->hidden);
  b->layer = at;
  at *= (size_t)m->layers;
  b->final_norm = at, at += vector;
  b->head = at, at += packed_size(w, m->hidden, m->vocab);
  b->embed = 0;
  if (!m->tied) b->embed = at, at += round_up((size_t)(m->vocab * m->hidden) * (w == WEIGHTS_F32 ? 4 : 2));
  b->size = at;
}

static void pack_bf16(const float *column, int64_t in, int64_t ld, uint32_t *to) {
  for (int64_t k = 0; k < in; k += 2, to += PANEL) {
    uint32_t low = to_bf16(column[k * ld]), high = k + 1 < in ? to_bf16(column[(k + 1) * ld]) : 0;
    *to = low | high << 16;
  }
}

// larger is what lies farther from 0, or NaN: weights that are not finite get a scale that is not, and so does every product with them.
static float larger(float a, float b) { return a != a || fabsf(a) >= fabsf(b) ? a : b; }

// pack_i8 is Q8_0 of llama.cpp with the scale of each column's block beside its neighbours', and 128 added.
static void pack_i8(const float *column, int64_t in, int64_t ld, char *to, int c) {
  for (int64_t b = 0; b < in / BLOCK; b++, column += BLOCK * ld, to += BLOCK_I8) {
    float most = 0;
    for (int k = 0; k < BLOCK; k++) most = larger(most, fabsf(column[k * ld]));
    uint16_t scale = to_half(most / 127);
    float by = from_half(scale) > 0 ? 1 / from_half(scale) : 0;
    memcpy(to + 2 * c, &scale, 2);
    uint8_t *q = (uint8_t *)to + 2 * PANEL;
    for (int k = 0; k < BLOCK; k++) {
      float x = rintf(column[k * ld] * by);
      q[(k / 4 * PANEL + c) * 4 + k % 4] = (uint8_t)(128 + (x > 127 ? 127 : x >= -127 ? x : -127));
    }
  }
}

// pack_i4 is Q4_0 of llama.cpp: the value of largest size becomes -8.
static void pack_i4(const float *column, int64_t in, int64_t ld, char *to, int c) {
  for (int64_t b = 0; b < in / BLOCK; b++, column += BLOCK * ld, to += BLOCK_I4) {
    float most = 0;
    for (int k = 0; k < BLOCK; k++) most = larger(most, column[k * ld]);
    uint16_t scale = to_half(most / -8);
    float by = from_half(scale) != 0 ? 1 / from_half(scale) : 0;
    memcpy(to + 2 * c, &scale, 2);
    uint8_t *q = (uint8_t *)to + 2 * PANEL;
    for (int k = 0; k < BLOCK; k++) {
      float x = floorf(column[k * ld] * by + 8.5f);
      uint8_t v = (uint8_t)(x > 15 ? 15 : x >= 0 ? x : 0), *at = q + (k / 8 * PANEL + c) * 4 + k % 4;
      *at = k % 8 < 4 ? v : (uint8_t)(*at | v << 4);
    }
  }
}

typedef struct {
  int weights, gate_up;
  const float *w;
  int64_t in, out;
  char *to;
} Pack;

static void pack_panels(void *arg, int64_t from, int64_t to) {
  Pack *p = arg;
  size_t size = panel_size(p->weights, p->in);
  for (int64_t panel = from; panel < to; panel++) {
    char *at = p->to + (size_t)panel * size;
    memset(at, 0, size);
    for (int c = 0; c < PANEL; c++) {
      int64_t column = panel * PANEL + c;
      if (p->gate_up) column = panel * 16 + c % 16 + c / 16 * (p->out / 2);
      if (column >= p->out) continue;
      const float *x = p->w + column;
      switch (p->weights) {
      case WEIGHTS_F32:
        for (int64_t k = 0; k < p->in; k++) ((float *)at)[k * PANEL + c] = x[k * p->out];
        break;
      case WEIGHTS_BF16: pack_bf16(x, p->in, p->out, (uint32_t *)at + c); break;
      case WEIGHTS_I8: pack_i8(x, p->in, p->out, at, c); break;
      case WEIGHTS_I4: pack_i4(x, p->in, p->out, at, c); break;
      }
    }
  }
}

void pack(int weights, const float *w, int64_t in, int64_t out, int gate_up, void *packed) {
  Pack p = {weights, gate_up, w, in, out, packed};
  parallel(pack_panels, &p, panels_of(out), 4);
}

void pack_front(const Model *m, const float *const *t, char *blob) {
  Blob b;
  blob_of(m, &b);
  size_t n = (size_t)m->hidden * sizeof(float);
  memcpy(blob + b.final_norm, t[1], n);
  if (m->tied) {
    float *head = malloc(n * (size_t)m->vocab); // the embedding turned
    if (!head) abort();
    for (int64_t v = 0; v < m->vocab; v++)
      for (int64_t k = 0; k < m->hidden; k++) head[k * m->vocab + v] = t[0][v * m->hidden + k];
    pack((int)m->weights, head, m->hidden, m->vocab, 0, blob + b.head);
    free(head);
    return;
  }
  pack((int)m->weights, t[2], m->hidden, m->vocab, 0, blob + b.head);
  if (m->weights == WEIGHTS_F32) memcpy(blob + b.embed, t[0], n * (size_t)m->vocab);
  else
    for (int64_t i = 0; i < m->vocab * m->hidden; i++) ((uint16_t *)(blob + b.embed))[i] = to_bf16(t[0][i]);
}

void pack_layer(const Model *m, int64_t layer, const float *const *t, char *blob) {
  Blob b;
  blob_of(m, &b);
  char *at = blob + b.layer * (size_t)layer;
  int w = (int)m->weights;
  int64_t mixed = m->heads * m->head_dim;
  memcpy(at + b.attn_norm, t[0], (size_t)m->hidden * sizeof(float));
  pack(w, t[1], m->hidden, mixed + 2 * m->kv_heads * m->head_dim, 0, at + b.qkv);
  pack(w, t[2], mixed, m->hidden, 0, at + b.out);
  memcpy(at + b.mlp_norm, t[3], (size_t)m->hidden * sizeof(float));
  pack(w, t[4], m->hidden, 2 * m->ffn, 1, at + b.gate_up);
  pack(w, t[5], m->ffn, m->hidden, 0, at + b.down);
}
