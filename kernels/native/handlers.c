// What XLA calls: operands and attributes are checked here, all of them, and then an operation runs.
#include "ffi.h"
#include "handlers.h"
#include "native.h"

// model_of reads the attributes that say what a blob is.
static const char *model_of(const ffi_frame *f, Model *m) {
  if (!ffi_int(f, "weights", &m->weights) || !ffi_int(f, "hidden", &m->hidden) || !ffi_int(f, "heads", &m->heads) ||
      !ffi_int(f, "kv_heads", &m->kv_heads) || !ffi_int(f, "head_dim", &m->head_dim) || !ffi_int(f, "ffn", &m->ffn) ||
      !ffi_int(f, "layers", &m->layers) || !ffi_int(f, "vocab", &m->vocab) || !ffi_int(f, "tied", &m->tied) || !ffi_float(f, "eps", &m->eps))
    return "an attribute of the model is missing";
  return check_model(m);
}

static const char *blob_is(const Model *m, const ffi_buffer *b) {
  Blob parts;
  blob_of(m, &parts);
  if (!ffi_is(b, FFI_U8, 1) || (size_t)b->dims[0] != parts.size) return "the packed weights are of another size";
  return 0;
}

static const char *layer_is(const Model *m, const ffi_buffer *layer) {
  if (!ffi_is(layer, FFI_S32, 0) || *(int32_t *)layer->data < 0 || *(int32_t *)layer->data >= m->layers) return "there is no such layer";
  return 0;
}

static int matrix(const ffi_buffer *b, int64_t columns) { return ffi_is(b, FFI_F32, 2) && b->dims[1] == columns; }

// run_of reads a batch [seqs, 3 tokens + pages + 1] i32.
static const char *run_of(const ffi_frame *f, const ffi_buffer *batch, Run *r) {
  if (!ffi_int(f, "tokens", &r->tokens) || !ffi_int(f, "pages", &r->pages) || r->tokens < 1 || r->pages < 1) return "an attribute of the batch is missing";
  if (r->tokens > 1 << 24 || r->pages > 1 << 24) return "an attribute of the batch is too large";
  if (!ffi_is(batch, FFI_S32, 2) || batch->dims[1] != 3 * r->tokens + r->pages + 1) return "the batch has another width";
  r->batch = batch->data;
  r->seqs = batch->dims[0];
  return 0;
}

// pool_of reads a pool [2 layers, pages, kv_heads, page_bytes] u8, which must be the memory of a result.
static const char *pool_of(const ffi_frame *f, const Model *m, const ffi_buffer *in, const ffi_buffer *out, Run *r) {
  int64_t kind;
  if (!ffi_int(f, "page_tokens", &r->page_tokens) || !ffi_int(f, "page_kind", &kind)) return "an attribute of the pool is missing";
  r->page_kind = (int)kind;
  if (!ffi_is(in, FFI_U8, 4) || in->dims[0] != 2 * m->layers || in->dims[2] != m->kv_heads) return "the pool has another shape";
  if (kind < 0 || kind >= PAGES_KINDS || r->page_tokens < 1 || r->page_tokens > 1 << 16 || (size_t)in->dims[3] != page_bytes((int)kind, r->page_tokens, m->head_dim)) return "the pool has pages of another size";
  if (!out || in->data != out->data) return "BUG: the pool is not updated in place";
  r->pool = out->data;
  r->pool_pages = in->dims[1];
  return 0;
}

#define REFUSE(f, who, why)                                    \
  do {                                                         \
    const char *refused = (why);                               \
    if (refused) return ffi_fail(f, "%s: %s", who, refused);   \
  } while (0)

#define BEGIN(f, who, operands, results)                                                                           \
  ffi_error *answer;                                                                                               \
  if (ffi_query(f, &answer)) return answer;                                                                        \
  if (ffi_operands(f) != (operands) || ffi_results(f) != (results)) return ffi_fail(f, "%s: wrong number of operands", who); \
  Model m;                                                                                                         \
  REFUSE(f, who, model_of(f, &m))

ffi_error *native_embed(ffi_frame *f) { // batch, blob -> x [rows, hidden]
  BEGIN(f, "embed", 2, 1);
  Run r = {.page_tokens = 16, .page_kind = 0};
  REFUSE(f, "embed", run_of(f, ffi_operand(f, 0), &r));
  REFUSE(f, "embed", blob_is(&m, ffi_operand(f, 1)));
  const ffi_buffer *y = ffi_result(f, 0);
  if (!matrix(y, m.hidden) || y->dims[0] != r.seqs * r.tokens) return ffi_fail(f, "embed: the result has another shape");
  REFUSE(f, "embed", check_tokens(&m, &r));
  embed(&m, ffi_operand(f, 1)->data, &r, y->data);
  return 0;
}

ffi_error *native_attention(ffi_frame *f) { // x, layer, batch, cos, sin, blob, pool -> y, pool
  BEGIN(f, "attention", 7, 2);
  Run r = {0};
  const ffi_buffer *x = ffi_operand(f, 0), *layer = ffi_operand(f, 1), *cos = ffi_operand(f, 3), *sin = ffi_operand(f, 4), *y = ffi_result(f, 0);
  REFUSE(f, "attention", run_of(f, ffi_operand(f, 2), &r));
  REFUSE(f, "attention", blob_is(&m, ffi_operand(f, 5)));
  REFUSE(f, "attention", pool_of(f, &m, ffi_operand(f, 6), ffi_result(f, 1), &r));
  if (!matrix(cos, m.head_dim / 2) || !matrix(sin, m.head_dim / 2) || sin->dims[0] != cos->dims[0]) return ffi_fail(f, "attention: the rope tables have another shape");
  if (!matrix(x, m.hidden) || !matrix(y, m.hidden) || x->dims[0] != r.seqs * r.tokens || y->dims[0] != x->dims[0]) return ffi_fail(f, "attention: x has another shape");
  REFUSE(f, "attention", layer_is(&m, layer));
  r.cos = cos->data, r.sin = sin->data, r.positions = cos->dims[0];
  REFUSE(f, "attention", check_run(&m, &r));
  attention(&m, ffi_operand(f, 5)->data, *(int32_t *)layer->data, &r, x->data, y->data);
  return 0;
}

ffi_error *native_mlp(ffi_frame *f) { // x, layer, blob -> y
  BEGIN(f, "mlp", 3, 1);
  const ffi_buffer *x = ffi_operand(f, 0), *layer = ffi_operand(f, 1), *y = ffi_result(f, 0);
  REFUSE(f, "mlp", blob_is(&m, ffi_operand(f, 2)));
  if (!matrix(x, m.hidden) || !matrix(y, m.hidden) || x->dims[0] != y->dims[0]) return ffi_fail(f, "mlp: x has another shape");
  REFUSE(f, "mlp", layer_is(&m, layer));
  mlp(&m, ffi_operand(f, 2)->data, *(int32_t *)layer->data, x->dims[0], x->data, y->data);
  return 0;
}

ffi_error *native_norm(ffi_frame *f) { // x, blob -> y
  BEGIN(f, "norm", 2, 1);
  const ffi_buffer *x = ffi_operand(f, 0), *y = ffi_result(f, 0);
  REFUSE(f, "norm", blob_is(&m, ffi_operand(f, 1)));
  if (!matrix(x, m.hidden) || !matrix(y, m.hidden) || x->dims[0] != y->dims[0]) return ffi_fail(f, "norm: x has another shape");
  final_norm(&m, ffi_operand(f, 1)->data, x->dims[0], x->data, y->data);
  return 0;
}

ffi_error *native_head(ffi_frame *f) { // x, blob -> logits
  BEGIN(f, "head", 2, 1);
  const ffi_buffer *x = ffi_operand(f, 0), *y = ffi_result(f, 0);
  REFUSE(f, "head", blob_is(&m, ffi_operand(f, 1)));
  if (!matrix(x, m.hidden) || !matrix(y, m.vocab) || x->dims[0] != y->dims[0]) return ffi_fail(f, "head: x has another shape");
  head(&m, ffi_operand(f, 1)->data, x->dims[0], x->data, y->data);
  return 0;
}

ffi_error *native_copy(ffi_frame *f) { // from, to, pool -> pool
  BEGIN(f, "copy", 3, 1);
  Run r = {0};
  const ffi_buffer *from = ffi_operand(f, 0), *to = ffi_operand(f, 1);
  REFUSE(f, "copy", pool_of(f, &m, ffi_operand(f, 2), ffi_result(f, 0), &r));
  if (!ffi_is(from, FFI_S32, 1) || !ffi_is(to, FFI_S32, 1) || from->dims[0] != to->dims[0]) return ffi_fail(f, "copy: lists of pages have other shapes");
  const int32_t *a = from->data, *b = to->data;
  for (int64_t i = 0; i < from->dims[0]; i++)
    if (b[i] >= 0 && (a[i] < 0 || a[i] >= r.pool_pages || b[i] >= r.pool_pages)) return ffi_fail(f, "copy: a page is outside of the pool");
  copy_pages(&m, &r, from->dims[0], a, b);
  return 0;
}

ffi_error *native_draw(ffi_frame *f) { // logits, parameters -> results
  ffi_error *answer;
  if (ffi_query(f, &answer)) return answer;
  if (ffi_operands(f) != 2 || ffi_results(f) != 1) return ffi_fail(f, "draw: wrong number of operands");
  const ffi_buffer *x = ffi_operand(f, 0), *p = ffi_operand(f, 1), *y = ffi_result(f, 0);
  if (!ffi_is(x, FFI_F32, 2) || !ffi_is(p, FFI_S32, 2) || !ffi_is(y, FFI_S32, 2)) return ffi_fail(f, "draw: an operand is of another type");
  if (x->dims[1] < 1 || p->dims[0] != x->dims[0] || y->dims[0] != x->dims[0] || p->dims[1] != 6 || y->dims[1] != 4) return ffi_fail(f, "draw: an operand has another shape");
  draws(x->data, x->dims[0], x->dims[1], p->data, y->data);
  return 0;
}

ffi_error *native_pack(ffi_frame *f) { // the model's tensors in order -> blob
  ffi_error *answer;
  if (ffi_query(f, &answer)) return answer;
  Model m;
  REFUSE(f, "pack", model_of(f, &m));
  int64_t first = m.tied ? 2 : 3;
  REFUSE(f, "pack", blob_is(&m, ffi_result(f, 0)));
  if (ffi_operands(f) != first + 6 * m.layers || ffi_results(f) != 1) return ffi_fail(f, "pack: got %ld tensors", (long)ffi_operands(f));
  int64_t mixed = m.heads * m.head_dim, dims[6][2] = {{m.hidden, 0}, {m.hidden, mixed + 2 * m.kv_heads * m.head_dim}, {mixed, m.hidden}, {m.hidden, 0}, {m.hidden, 2 * m.ffn}, {m.ffn, m.hidden}};
  int64_t front[3][2] = {{m.vocab, m.hidden}, {m.hidden, 0}, {m.hidden, m.vocab}};
  const float *tensors[3 + 6];
  for (int64_t i = 0; i < ffi_operands(f); i++) {
    const ffi_buffer *b = ffi_operand(f, i);
    const int64_t *want = i < first ? front[i] : dims[(i - first) % 6];
    if (!ffi_is(b, FFI_F32, want[1] ? 2 : 1) || b->dims[0] != want[0] || (want[1] && b->dims[1] != want[1])) return ffi_fail(f, "pack: tensor %ld has another shape", (long)i);
  }
  for (int64_t i = 0; i < first; i++) tensors[i] = ffi_operand(f, i)->data;
  pack_front(&m, tensors, ffi_result(f, 0)->data);
  for (int64_t l = 0; l < m.layers; l++) {
    for (int64_t i = 0; i < 6; i++) tensors[i] = ffi_operand(f, first + 6 * l + i)->data;
    pack_layer(&m, l, tensors, ffi_result(f, 0)->data);
  }
  return 0;
}
