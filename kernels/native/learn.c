// Training's operations: each is a few parallel loops over panels, rows or segments. Every sum has one order, whatever the number of threads.
#include "learn.h"
#include "kernels.h"
#include <string.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t panels_of(int64_t n) { return (n + PANEL - 1) / PANEL; }
static int64_t grain(int64_t n) { return n / (4 * (int64_t)threads()) + 1; }

// ---- products. A task is a panel of columns by some rows; it packs its panel by itself, which is little beside the product of many rows.
enum { TILE = 96, BAND_ROWS = 128, CHUNKS = 12 }; // CHUNKS: tasks of a thread, at least

typedef struct {
  int64_t rows, in, out, chunk; // of y = x w; rows of a task
  int turned;                   // w is [out, in]
  const float *x, *w;
  float *y;
  int64_t rank;                 // of a change of w, or 0
  const float *a, *b;           // its factors: a b has the shape that w has in memory
} Dense;

static int64_t chunks(const Dense *d) { return (d->rows + d->chunk - 1) / d->chunk; }

// plain_panel lays n rows of w, or of its turned form, from row i on out as a panel of the columns from `column` on.
static void plain_panel(const Dense *d, int64_t column, int64_t wide, int64_t i, int64_t n, float *to) {
  if (d->turned) kernels()->as_turned_panels(d->w + column * d->in + i, d->in, wide, n, to);
  else kernels()->as_panels(d->w + i * d->out + column, d->out, n, wide, to);
}

// change_panel makes the panel of a b that belongs to it; room is for rank rows of a panel.
static void change_panel(const Dense *d, int64_t column, int64_t wide, float *panel, float *room) {
  if (!d->turned) {
    kernels()->as_panels(d->b + column, d->out, d->rank, wide, room);
    kernels()->product_rows(room, d->a, d->rank, d->in, d->rank, panel, PANEL);
    return;
  }
  kernels()->as_turned_panels(d->a + column * d->rank, d->rank, wide, d->rank, room);
  memset(panel, 0, (size_t)(d->in * PANEL) * sizeof *panel);
  kernels()->product_turned(room, d->b, d->in, d->rank, d->in, panel, PANEL);
}

// pack_panel makes a panel with its change, in the order in which what is served is added up: a b, then w. tile has room for rank rows behind it.
static void pack_panel(const Dense *d, int64_t column, float *panel, float *tile) {
  int64_t wide = least(PANEL, d->out - column);
  if (!d->rank) {
    plain_panel(d, column, wide, 0, d->in, panel);
    return;
  }
  change_panel(d, column, wide, panel, tile + TILE * PANEL);
  for (int64_t i = 0; i < d->in; i += TILE) {
    int64_t n = least(TILE, d->in - i);
    plain_panel(d, column, wide, i, n, tile);
    kernels()->added(panel + i * PANEL, tile, n * PANEL, panel + i * PANEL);
  }
}

static void dense_tasks(void *arg, int64_t from, int64_t to) {
  const Dense *d = arg;
  const Kernels *k = kernels();
  float *panel = scratch(SCRATCH_TASK, (size_t)((d->in + TILE + d->rank) * PANEL) * sizeof *panel), *tile = panel + d->in * PANEL;
  int64_t packed = -1;
  for (int64_t task = from; task < to; task++) {
    int64_t column = task / chunks(d) * PANEL, first = task % chunks(d) * d->chunk, last = least(first + d->chunk, d->rows), n = least(PANEL, d->out - column);
    if (packed != column) {
      pack_panel(d, column, panel, tile);
      packed = column;
    }
    for (int64_t i = first; i < last; i += TILE) {
      int64_t rows = least(TILE, last - i);
      if (n == PANEL) {
        k->product_rows(panel, d->x + i * d->in, d->in, rows, d->in, d->y + i * d->out + column, d->out);
        continue;
      }
      (n > NARROW ? k->product_rows : k->narrow_rows)(panel, d->x + i * d->in, d->in, rows, d->in, tile, PANEL);
      for (int64_t r = 0; r < rows; r++) memcpy(d->y + (i + r) * d->out + column, tile + r * PANEL, (size_t)n * sizeof *tile);
    }
  }
}

static void run_dense(Dense *d) {
  int64_t wanted = CHUNKS * (int64_t)threads() / panels_of(d->out) + 1; // chunks of rows
  d->chunk = ((d->rows + wanted - 1) / wanted + TILE - 1) / TILE * TILE;
  parallel(dense_tasks, d, panels_of(d->out) * chunks(d), 1);
}

void dense(int64_t rows, int64_t in, int64_t out, const float *x, const float *w, float *y) {
  Dense d = {.rows = rows, .in = in, .out = out, .x = x, .w = w, .y = y};
  run_dense(&d);
}

void dense_to_x(int64_t rows, int64_t in, int64_t out, const float *dy, const float *w, float *dx) {
  Dense d = {.rows = rows, .in = out, .out = in, .turned = 1, .x = dy, .w = w, .y = dx};
  run_dense(&d);
}

// A task of dw is a panel of dy's columns by up to TILE of x's columns, over all rows.
static void to_w_tasks(void *arg, int64_t from, int64_t to) {
  const Dense *d = arg; // chunk is of x's columns
  const Kernels *k = kernels();
  int64_t blocks = (d->in + d->chunk - 1) / d->chunk;
  float band[BAND_ROWS * PANEL] __attribute__((aligned(64))), sum[TILE * PANEL] __attribute__((aligned(64)));
  for (int64_t task = from; task < to; task++) {
    int64_t column = task / blocks * PANEL, first = task % blocks * d->chunk, n = least(d->chunk, d->in - first), wide = least(PANEL, d->out - column);
    memset(sum, 0, (size_t)(n * PANEL) * sizeof *sum);
    for (int64_t i = 0; i < d->rows; i += BAND_ROWS) {
      int64_t rows = least(BAND_ROWS, d->rows - i);
      k->as_panels(d->w + i * d->out + column, d->out, rows, wide, band);
      (wide > NARROW ? k->product_turned : k->narrow_turned)(band, d->x + i * d->in + first, d->in, rows, n, sum, PANEL);
    }
    for (int64_t r = 0; r < n; r++) memcpy(d->y + (first + r) * d->out + column, sum + r * PANEL, (size_t)wide * sizeof *sum);
  }
}

void dense_to_w(int64_t rows, int64_t in, int64_t out, const float *x, const float *dy, float *dw) {
  Dense d = {.rows = rows, .in = in, .out = out, .chunk = in <= TILE ? TILE / 2 : TILE, .x = x, .w = dy, .y = dw};
  parallel(to_w_tasks, &d, panels_of(out) * ((in + d.chunk - 1) / d.chunk), 1);
}

void changed(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *x, const float *w, const float *a, const float *b, float *y) {
  Dense d = {.rows = rows, .in = in, .out = out, .x = x, .w = w, .y = y, .rank = rank, .a = a, .b = b};
  run_dense(&d);
}

void changed_to_x(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *dy, const float *w, const float *a, const float *b, float *dx) {
  Dense d = {.rows = rows, .in = out, .out = in, .turned = 1, .x = dy, .w = w, .y = dx, .rank = rank, .a = a, .b = b};
  run_dense(&d);
}

void changed_to_change(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *x, const float *a, const float *b, const float *dy, float *da, float *db) {
  float *xa = scratch(SCRATCH_X, (size_t)(rows * rank) * sizeof *xa), *dyb = scratch(SCRATCH_Y, (size_t)(rows * rank) * sizeof *dyb);
  dense(rows, in, rank, x, a, xa);
  dense_to_x(rows, rank, out, dy, b, dyb);
  dense_to_w(rows, in, rank, x, dyb, da);
  dense_to_w(rows, rank, out, xa, dy, db);
}

// ---- rows
typedef struct {
  int64_t rows, n;
  const float *x, *scale, *dy;
  float eps, *y, *parts; // parts [chunks of NORM_ROWS, n]: what each chunk adds to the scale's gradient
} Rows;

enum { NORM_ROWS = 32 };

static void norm_tasks(void *arg, int64_t from, int64_t to) {
  const Rows *r = arg;
  for (int64_t i = from; i < to; i++) kernels()->normed(r->x + i * r->n, r->scale, r->n, r->eps, r->y + i * r->n);
}

void norm_rows(int64_t rows, int64_t n, const float *x, const float *scale, float eps, float *y) {
  Rows r = {.rows = rows, .n = n, .x = x, .scale = scale, .eps = eps, .y = y};
  parallel(norm_tasks, &r, rows, grain(rows));
}

static void norm_backward_tasks(void *arg, int64_t from, int64_t to) {
  const Rows *r = arg;
  for (int64_t c = from; c < to; c++) {
    float *part = r->parts + c * r->n;
    memset(part, 0, (size_t)r->n * sizeof *part);
    for (int64_t i = c * NORM_ROWS; i < least((c + 1) * NORM_ROWS, r->rows); i++)
      kernels()->normed_backward(r->x + i * r->n, r->scale, r->dy + i * r->n, r->n, r->eps, r->y + i * r->n, part);
  }
}

void norm_rows_backward(int64_t rows, int64_t n, const float *x, const float *scale, const float *dy, float eps, float *dx, float *d_scale) {
  int64_t parts = (rows + NORM_ROWS - 1) / NORM_ROWS;
  Rows r = {rows, n, x, scale, dy, eps, dx, scratch(SCRATCH_Y, (size_t)(parts * n) * sizeof(float))};
  parallel(norm_backward_tasks, &r, parts, grain(parts));
  memset(d_scale, 0, (size_t)n * sizeof *d_scale);
  for (int64_t c = 0; c < parts; c++)
    for (int64_t i = 0; i < n; i++) d_scale[i] += r.parts[c * n + i];
}

static void gate_tasks(void *arg, int64_t from, int64_t to) {
  const Rows *r = arg;
  for (int64_t i = from; i < to; i++) {
    const float *h = r->x + 2 * i * r->n;
    if (r->dy) kernels()->gates_backward(h, h + r->n, r->dy + i * r->n, r->n, r->y + 2 * i * r->n, r->y + (2 * i + 1) * r->n);
    else kernels()->gates(h, h + r->n, r->n, r->y + i * r->n);
  }
}

void gate_rows(int64_t rows, int64_t n, const float *h, float *y) {
  Rows r = {.rows = rows, .n = n, .x = h, .y = y};
  parallel(gate_tasks, &r, rows, grain(rows));
}

void gate_rows_backward(int64_t rows, int64_t n, const float *h, const float *dy, float *dh) {
  Rows r = {.rows = rows, .n = n, .x = h, .dy = dy, .y = dh};
  parallel(gate_tasks, &r, rows, grain(rows));
}

// ---- attention
typedef struct {
  const Segmented *a;
  const int64_t *ends; // of each run of equal numbers, one after the other over all rows: padding too
} Segments;

// runs writes where runs of one number end, the rows one after the other, and gives how many there are.
static int64_t runs(const Segmented *a, int64_t *ends) {
  int64_t n = 0;
  for (int64_t i = 1; i <= a->rows * a->tokens; i++)
    if (i % a->tokens == 0 || a->segments[i] != a->segments[i - 1]) ends[n++] = i;
  return n;
}

static size_t room_of(const Segmented *a, int64_t n) {
  int64_t padded = panels_of(n) * PANEL, wide = panels_of(a->head_dim) * PANEL;
  return (size_t)(2 * padded * a->head_dim + n * a->head_dim + n * wide + 2 * padded * wide + 2 * ASKING * padded + 3 * ASKING * wide) * sizeof(float);
}

static void nothing(const Segmented *a, int64_t kv, int64_t at, int64_t n) { // padding
  int64_t group = a->heads / a->kv_heads, dim = a->head_dim, all = a->heads + 2 * a->kv_heads;
  for (int64_t i = at; i < at + n; i++) {
    if (!a->d_qkv) {
      memset(a->mixed + (i * a->heads + kv * group) * dim, 0, (size_t)(group * dim) * sizeof(float));
      memset(a->logsum + i * a->heads + kv * group, 0, (size_t)group * sizeof(float));
    } else if (kv == 0) {
      memset(a->d_qkv + i * all * dim, 0, (size_t)(all * dim) * sizeof(float));
    }
  }
}

static void segment_tasks(void *arg, int64_t from, int64_t to) {
  const Segments *s = arg;
  const Segmented *a = s->a;
  for (int64_t task = from; task < to; task++) {
    int64_t run = task / a->kv_heads, kv = task % a->kv_heads, at = run ? s->ends[run - 1] : 0, n = s->ends[run] - at;
    if (a->segments[at] == 0) {
      nothing(a, kv, at, n);
      continue;
    }
    float *room = scratch(SCRATCH_TASK, room_of(a, n));
    if (a->d_qkv) kernels()->attend_backward(a, at, n, kv, room);
    else kernels()->attend_segment(a, at, n, kv, room);
  }
}

void attend_segments(Segmented *a) {
  int64_t *ends = scratch(SCRATCH_X, (size_t)(a->rows * a->tokens) * sizeof *ends);
  Segments s = {a, ends};
  parallel(segment_tasks, &s, runs(a, ends) * a->kv_heads, 1);
}

void attend_segments_backward(Segmented *a) { attend_segments(a); }

const char *check_segmented(const Segmented *a) {
  if (a->rows < 1 || a->tokens < 1 || a->heads < 1 || a->kv_heads < 1 || a->heads % a->kv_heads) return "heads are not a multiple of kv heads";
  if (a->head_dim < 2 || a->head_dim % 2) return "a head's size is odd";
  for (int64_t i = 0; i < a->rows * a->tokens; i++)
    if (a->positions[i] < 0 || a->positions[i] >= a->angles) return "a position is outside of the rope tables";
  return 0;
}
