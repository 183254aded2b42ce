// What XLA calls: shapes are checked here, all of them, and then kernels go onto the stream. The numbers of pages are on the GPU and are
// checked there: what is not in the pool is not read.
#include "handlers.h"
#include "driver.h"
#include <limits.h>

enum { PAGE_MULTIPLE = 8, LARGEST_GRID = 65535 };

static int is_float(const ffi_buffer *b) { return b && (b->dtype == FFI_F32 || b->dtype == FFI_BF16); }

static int same_shape(const ffi_buffer *a, const ffi_buffer *b) {
  return a && b && a->dtype == b->dtype && a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

// small says that all dimensions are at least 1 and that their product can be counted in an int.
static int small(const ffi_buffer *b) {
  int64_t n = 1;
  for (int64_t i = 0; i < b->rank; i++) {
    if (b->dims[i] < 1 || b->dims[i] > INT_MAX / n) return 0;
    n *= b->dims[i];
  }
  return 1;
}

// read_operands fills a call in.
static const char *read_operands(const ffi_frame *f, Decode *a) {
  const ffi_buffer *q = ffi_operand(f, 0), *k = ffi_operand(f, 1), *v = ffi_operand(f, 2), *table = ffi_operand(f, 3), *positions = ffi_operand(f, 4);
  if (ffi_operands(f) != 5) return "want 5 operands";
  if (!is_float(q) || q->rank != 4 || !small(q)) return "q is not [seqs, tokens, heads, headDim] in f32 or bf16";
  if (!is_float(k) || k->rank != 4 || !same_shape(k, v)) return "k and v are not [pages, kvHeads, pageTokens, headDim] in f32 or bf16, both the same";
  if (!ffi_is(table, FFI_S32, 2) || !small(table) || table->dims[0] != q->dims[0]) return "table is not [seqs, maxPages] i32";
  if (!ffi_is(positions, FFI_S32, 2) || positions->dims[0] != q->dims[0] || positions->dims[1] != q->dims[1]) return "positions is not [seqs, tokens] i32";
  for (int i = 0; i < 4; i++)
    if (k->dims[i] < 1 || k->dims[i] > INT_MAX) return "a dimension of the pools is out of range";
  if (q->dims[3] != k->dims[3]) return "queries and keys have other sizes of heads";
  if (q->dims[2] % k->dims[1]) return "heads are no multiple of the pools' heads";
  if (k->dims[2] % PAGE_MULTIPLE) return "pages do not hold a multiple of 8 tokens";
  if (table->dims[1] > (INT_MAX - DECODE_SPAN) / k->dims[2]) return "the table has too many positions";
  *a = (Decode){.q = q->data, .k = k->data, .v = v->data, .table = table->data, .positions = positions->data, .seqs = (int)q->dims[0], .tokens = (int)q->dims[1], .heads = (int)q->dims[2], .kvHeads = (int)k->dims[1], .headDim = (int)k->dims[3], .pages = (int)k->dims[0], .pageTokens = (int)k->dims[2], .maxPages = (int)table->dims[1], .bf16Rows = q->dtype == FFI_BF16};
  return 0;
}

// room says that a result is [rows, spans, width] f32.
static int room(const ffi_buffer *b, int64_t rows, const Decode *a, int64_t width) {
  return ffi_is(b, FFI_F32, 3) && b->dims[0] == rows && b->dims[1] == a->spans && b->dims[2] == width;
}

static const char *read_results(const ffi_frame *f, Decode *a) {
  int64_t rows = (int64_t)a->seqs * a->tokens * a->heads;
  if (ffi_results(f) != (a->spans > 1 ? 3 : 1)) return "want 3 results, or 1 where there is one span";
  if (!same_shape(ffi_operand(f, 0), ffi_result(f, 0))) return "the result is not as q";
  a->out = ffi_result(f, 0)->data;
  if (a->spans == 1) return 0;
  if (!room(ffi_result(f, 1), rows, a, a->headDim) || !room(ffi_result(f, 2), rows, a, 2)) return "the room for the spans has another size";
  a->sums = ffi_result(f, 1)->data;
  a->marks = ffi_result(f, 2)->data;
  return 0;
}

static ffi_error *decode(ffi_frame *f, void *stream) {
  Decode a;
  unsigned grid[3];
  const char *wrong = read_operands(f, &a);
  if (!wrong) {
    decode_sizes(&a, grid);
    wrong = read_results(f, &a);
  }
  if (wrong) return ffi_fail(f, "decode: %s", wrong);
  int kernel = kernel_of(ffi_operand(f, 1)->dtype == FFI_BF16 ? KERNEL_DECODE_BF16 : KERNEL_DECODE_F32, a.headDim);
  if (kernel < 0) return ffi_fail(f, "decode: there is no kernel for heads of %d", a.headDim);
  if (grid[1] > LARGEST_GRID || grid[2] > LARGEST_GRID) return ffi_fail(f, "decode: a grid of %u by %u blocks is too large", grid[1], grid[2]);
  wrong = launch(kernel, grid, stream, &a);
  unsigned rows[3] = {(unsigned)(a.seqs * a.tokens * a.heads), 1, 1};
  if (!wrong && a.spans > 1) wrong = launch(kernel_of(KERNEL_JOIN, 0), rows, stream, &a);
  return wrong ? ffi_fail(f, "decode: launch a kernel: %s", wrong) : 0;
}

ffi_error *cuda_decode(ffi_frame *f) {
  ffi_error *answer;
  if (ffi_query_traits(f, FFI_RECORDABLE, &answer)) return answer;
  void *stream;
  if ((answer = ffi_stream(f, &stream))) return answer;
  return decode(f, stream);
}

ffi_error *cuda_decode_here(ffi_frame *f) {
  ffi_error *answer;
  if (ffi_query(f, &answer)) return answer;
  return decode(f, 0);
}
