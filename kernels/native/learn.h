// Native bodies of training on processors, in f32: products and their gradients, attention within the segments of packed rows, norms and
// gates. Matrices are plain, row by row: weights change with each step, so that nothing is packed before a call.
#pragma once
#include <stdint.h>

// dense is y [rows, out] = x [rows, in] w [in, out]; dense_to_x is dx [rows, in] = dy w^T, dense_to_w dw [in, out] = x^T dy.
void dense(int64_t rows, int64_t in, int64_t out, const float *x, const float *w, float *y);
void dense_to_x(int64_t rows, int64_t in, int64_t out, const float *dy, const float *w, float *dx);
void dense_to_w(int64_t rows, int64_t in, int64_t out, const float *x, const float *dy, float *dw);

// Of a frozen w with a change of low rank, a [in, rank] times b [rank, out]: changed is y = x (w + a b), changed_to_x dx = dy (w + a b)^T, and
// changed_to_change da = x^T (dy b^T) and db = (x a)^T dy. Each number of w + a b is the sum over rank, and then w added to it.
void changed(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *x, const float *w, const float *a, const float *b, float *y);
void changed_to_x(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *dy, const float *w, const float *a, const float *b, float *dx);
void changed_to_change(int64_t rows, int64_t in, int64_t out, int64_t rank, const float *x, const float *a, const float *b, const float *dy, float *da, float *db);

// norm_rows is RMSNorm of rows x [rows, n]; norm_rows_backward its gradients.
void norm_rows(int64_t rows, int64_t n, const float *x, const float *scale, float eps, float *y);
void norm_rows_backward(int64_t rows, int64_t n, const float *x, const float *scale, const float *dy, float eps, float *dx, float *d_scale);

// gate_rows is y [rows, n] = silu(gate) * up of h [rows, 2n], its first columns and its others; gate_rows_backward the gradient to h.
void gate_rows(int64_t rows, int64_t n, const float *h, float *y);
void gate_rows_backward(int64_t rows, int64_t n, const float *h, const float *dy, float *dh);

// Segmented is attention within segments: neighbours of one row with the same number, which see each other up to themselves. Number 0 is
// padding, whose results are 0. Queries and keys are turned by the angles of their positions.
typedef struct {
  int64_t rows, tokens, heads, kv_heads, head_dim, angles; // angles: positions that cos and sin know
  const int32_t *segments, *positions;                     // [rows, tokens]
  const float *qkv, *cos, *sin;                            // [rows*tokens, (heads + 2 kv_heads) * head_dim], [angles, head_dim/2]
  float scale;                                             // of scores
  float *mixed, *logsum;                                   // [rows*tokens, heads*head_dim], [rows*tokens, heads]: logarithms of sums of e^score
  const float *d_mixed;                                    // of the gradient
  float *d_qkv;
} Segmented;

// check_segmented says what is wrong with sizes, segments and positions, or NULL. Nothing below checks again.
const char *check_segmented(const Segmented *a);
void attend_segments(Segmented *a);          // makes mixed and logsum
void attend_segments_backward(Segmented *a); // makes d_qkv of all others
