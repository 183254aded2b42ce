// What XLA calls in training: operands are checked here, all of them, and then an operation of learn.h runs.
#include "ffi.h"
#include "handlers.h"
#include "learn.h"
#include "native.h"

enum { MAX_SIDE = 1 << 22 }; // of a matrix, so that no product of two overflows

#define BEGIN(f, who, operands, results)  \
  ffi_error *answer;                      \
  if (ffi_query(f, &answer)) return answer; \
  if (ffi_operands(f) != (operands) || ffi_results(f) != (results)) return ffi_fail(f, "%s: wrong number of operands", who); \
  choose_threads()

// is says that a buffer is f32 [rows, columns].
static int is(const ffi_buffer *b, int64_t rows, int64_t columns) { return ffi_is(b, FFI_F32, 2) && b->dims[0] == rows && b->dims[1] == columns; }

static int is_vector(const ffi_buffer *b, int64_t n) { return ffi_is(b, FFI_F32, 1) && b->dims[0] == n; }

// sides reads a matrix f32 that is not too wide.
static int sides(const ffi_buffer *b, int64_t *rows, int64_t *columns) {
  if (!ffi_is(b, FFI_F32, 2) || b->dims[0] < 1 || b->dims[1] < 1 || b->dims[0] > INT32_MAX || b->dims[1] > MAX_SIDE) return 0;
  *rows = b->dims[0], *columns = b->dims[1];
  return 1;
}

ffi_error *native_dense(ffi_frame *f) { // x [rows, in], w [in, out] -> y [rows, out]
  BEGIN(f, "dense", 2, 1);
  int64_t rows, in, out, height;
  if (!sides(ffi_operand(f, 0), &rows, &in) || !sides(ffi_operand(f, 1), &height, &out) || height != in || !is(ffi_result(f, 0), rows, out))
    return ffi_fail(f, "dense: an operand has another shape");
  dense(rows, in, out, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, ffi_result(f, 0)->data);
  return 0;
}

ffi_error *native_dense_to_x(ffi_frame *f) { // dy [rows, out], w [in, out] -> dx [rows, in]
  BEGIN(f, "dense_to_x", 2, 1);
  int64_t rows, in, out, wide;
  if (!sides(ffi_operand(f, 0), &rows, &out) || !sides(ffi_operand(f, 1), &in, &wide) || wide != out || in > MAX_SIDE || !is(ffi_result(f, 0), rows, in))
    return ffi_fail(f, "dense_to_x: an operand has another shape");
  dense_to_x(rows, in, out, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, ffi_result(f, 0)->data);
  return 0;
}

ffi_error *native_dense_to_w(ffi_frame *f) { // x [rows, in], dy [rows, out] -> dw [in, out]
  BEGIN(f, "dense_to_w", 2, 1);
  int64_t rows, in, out, height;
  if (!sides(ffi_operand(f, 0), &rows, &in) || !sides(ffi_operand(f, 1), &height, &out) || height != rows || !is(ffi_result(f, 0), in, out))
    return ffi_fail(f, "dense_to_w: an operand has another shape");
  dense_to_w(rows, in, out, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, ffi_result(f, 0)->data);
  return 0;
}

// is_change says that two operands are a change of low rank of a matrix [in, out].
static int is_change(const ffi_buffer *a, const ffi_buffer *b, int64_t in, int64_t out, int64_t *rank) {
  int64_t height;
  return sides(a, &height, rank) && height == in && is(b, *rank, out);
}

ffi_error *native_changed(ffi_frame *f) { // x [rows, in], w [in, out], a [in, rank], b [rank, out] -> y [rows, out]
  BEGIN(f, "changed", 4, 1);
  int64_t rows, in, out, height, rank;
  const ffi_buffer *x = ffi_operand(f, 0), *w = ffi_operand(f, 1), *a = ffi_operand(f, 2), *b = ffi_operand(f, 3), *y = ffi_result(f, 0);
  if (!sides(x, &rows, &in) || !sides(w, &height, &out) || height != in || !is_change(a, b, in, out, &rank) || !is(y, rows, out)) return ffi_fail(f, "changed: an operand has another shape");
  changed(rows, in, out, rank, x->data, w->data, a->data, b->data, y->data);
  return 0;
}

ffi_error *native_changed_to_x(ffi_frame *f) { // dy [rows, out], w [in, out], a [in, rank], b [rank, out] -> dx [rows, in]
  BEGIN(f, "changed_to_x", 4, 1);
  int64_t rows, in, out, wide, rank;
  const ffi_buffer *dy = ffi_operand(f, 0), *w = ffi_operand(f, 1), *a = ffi_operand(f, 2), *b = ffi_operand(f, 3), *dx = ffi_result(f, 0);
  if (!sides(dy, &rows, &out) || !sides(w, &in, &wide) || wide != out || in > MAX_SIDE || !is_change(a, b, in, out, &rank) || !is(dx, rows, in))
    return ffi_fail(f, "changed_to_x: an operand has another shape");
  changed_to_x(rows, in, out, rank, dy->data, w->data, a->data, b->data, dx->data);
  return 0;
}

ffi_error *native_changed_to_change(ffi_frame *f) { // x [rows, in], a [in, rank], b [rank, out], dy [rows, out] -> da [in, rank], db [rank, out]
  BEGIN(f, "changed_to_change", 4, 2);
  int64_t rows, in, out, height, rank;
  const ffi_buffer *x = ffi_operand(f, 0), *a = ffi_operand(f, 1), *b = ffi_operand(f, 2), *dy = ffi_operand(f, 3), *da = ffi_result(f, 0), *db = ffi_result(f, 1);
  if (!sides(x, &rows, &in) || !sides(dy, &height, &out) || height != rows || !is_change(a, b, in, out, &rank) || !is(da, in, rank) || !is(db, rank, out))
    return ffi_fail(f, "changed_to_change: an operand has another shape");
  changed_to_change(rows, in, out, rank, x->data, a->data, b->data, dy->data, da->data, db->data);
  return 0;
}

ffi_error *native_norm_rows(ffi_frame *f) { // x [rows, n], scale [n] -> y [rows, n]
  BEGIN(f, "norm_rows", 2, 1);
  int64_t rows, n;
  float eps;
  if (!ffi_float(f, "eps", &eps)) return ffi_fail(f, "norm_rows: an attribute is missing");
  if (!sides(ffi_operand(f, 0), &rows, &n) || !is_vector(ffi_operand(f, 1), n) || !is(ffi_result(f, 0), rows, n)) return ffi_fail(f, "norm_rows: an operand has another shape");
  norm_rows(rows, n, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, eps, ffi_result(f, 0)->data);
  return 0;
}

ffi_error *native_norm_rows_backward(ffi_frame *f) { // x [rows, n], scale [n], dy [rows, n] -> dx [rows, n], dscale [n]
  BEGIN(f, "norm_rows_backward", 3, 2);
  int64_t rows, n;
  float eps;
  if (!ffi_float(f, "eps", &eps)) return ffi_fail(f, "norm_rows_backward: an attribute is missing");
  if (!sides(ffi_operand(f, 0), &rows, &n) || !is_vector(ffi_operand(f, 1), n) || !is(ffi_operand(f, 2), rows, n) || !is(ffi_result(f, 0), rows, n) || !is_vector(ffi_result(f, 1), n))
    return ffi_fail(f, "norm_rows_backward: an operand has another shape");
  norm_rows_backward(rows, n, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, ffi_operand(f, 2)->data, eps, ffi_result(f, 0)->data, ffi_result(f, 1)->data);
  return 0;
}

ffi_error *native_gate_rows(ffi_frame *f) { // h [rows, 2n] -> y [rows, n]
  BEGIN(f, "gate_rows", 1, 1);
  int64_t rows, n;
  if (!sides(ffi_result(f, 0), &rows, &n) || !is(ffi_operand(f, 0), rows, 2 * n)) return ffi_fail(f, "gate_rows: an operand has another shape");
  gate_rows(rows, n, ffi_operand(f, 0)->data, ffi_result(f, 0)->data);
  return 0;
}

ffi_error *native_gate_rows_backward(ffi_frame *f) { // h [rows, 2n], dy [rows, n] -> dh [rows, 2n]
  BEGIN(f, "gate_rows_backward", 2, 1);
  int64_t rows, n;
  if (!sides(ffi_operand(f, 1), &rows, &n) || !is(ffi_operand(f, 0), rows, 2 * n) || !is(ffi_result(f, 0), rows, 2 * n))
    return ffi_fail(f, "gate_rows_backward: an operand has another shape");
  gate_rows_backward(rows, n, ffi_operand(f, 0)->data, ffi_operand(f, 1)->data, ffi_result(f, 0)->data);
  return 0;
}

// segmented reads what both functions of attention have: qkv, segments, positions, cos, sin; and the shape of mixed and logsum.
static const char *segmented(const ffi_frame *f, const ffi_buffer *mixed, const ffi_buffer *logsum, Segmented *a) {
  const ffi_buffer *qkv = ffi_operand(f, 0), *segments = ffi_operand(f, 1), *positions = ffi_operand(f, 2), *cos = ffi_operand(f, 3), *sin = ffi_operand(f, 4);
  int64_t n, width, of, half;
  if (!ffi_float(f, "scale", &a->scale)) return "an attribute is missing";
  if (!sides(qkv, &n, &width) || !sides(cos, &a->angles, &half) || !is(sin, a->angles, half) || !sides(mixed, &of, &width) || of != n) return "an operand has another shape";
  if (!ffi_is(segments, FFI_S32, 2) || !ffi_is(positions, FFI_S32, 2) || positions->dims[0] != segments->dims[0] || positions->dims[1] != segments->dims[1]) return "segments or positions have another shape";
  a->rows = segments->dims[0], a->tokens = segments->dims[1], a->head_dim = 2 * half;
  if (a->rows < 1 || a->tokens < 1 || a->rows > INT32_MAX || a->tokens > INT32_MAX || a->rows * a->tokens != n) return "there are more or fewer rows than tokens";
  if (width % a->head_dim || (qkv->dims[1] - width) % (2 * a->head_dim) || qkv->dims[1] <= width) return "the widths are no heads";
  a->heads = width / a->head_dim, a->kv_heads = (qkv->dims[1] - width) / (2 * a->head_dim);
  if (!is(logsum, n, a->heads)) return "the sums have another shape";
  a->qkv = qkv->data, a->segments = segments->data, a->positions = positions->data, a->cos = cos->data, a->sin = sin->data;
  a->mixed = mixed->data, a->logsum = logsum->data;
  return check_segmented(a);
}

ffi_error *native_segments(ffi_frame *f) { // qkv, segments, positions, cos, sin -> mixed, logsum
  BEGIN(f, "segments", 5, 2);
  Segmented a = {0};
  const char *wrong = segmented(f, ffi_result(f, 0), ffi_result(f, 1), &a);
  if (wrong) return ffi_fail(f, "segments: %s", wrong);
  attend_segments(&a);
  return 0;
}

ffi_error *native_segments_backward(ffi_frame *f) { // qkv, segments, positions, cos, sin, mixed, logsum, dmixed -> dqkv
  BEGIN(f, "segments_backward", 8, 1);
  Segmented a = {0};
  const char *wrong = segmented(f, ffi_operand(f, 5), ffi_operand(f, 6), &a);
  if (wrong) return ffi_fail(f, "segments_backward: %s", wrong);
  const ffi_buffer *d_mixed = ffi_operand(f, 7), *d_qkv = ffi_result(f, 0), *qkv = ffi_operand(f, 0);
  if (!is(d_mixed, qkv->dims[0], a.heads * a.head_dim) || !is(d_qkv, qkv->dims[0], qkv->dims[1])) return ffi_fail(f, "segments_backward: an operand has another shape");
  a.d_mixed = d_mixed->data, a.d_qkv = d_qkv->data;
  attend_segments_backward(&a);
  return 0;
}
