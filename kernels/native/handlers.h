// Custom calls; what they take stands beside each in handlers.c. All have the attributes weights, hidden, heads, kv_heads, head_dim, ffn,
// layers, vocab, tied (i64) and eps (f32); with a batch also tokens and pages, with a pool page_tokens and page_kind.
#pragma once
#include "ffi.h"

ffi_error *native_embed(ffi_frame *f);
ffi_error *native_attention(ffi_frame *f);
ffi_error *native_mlp(ffi_frame *f);
ffi_error *native_norm(ffi_frame *f);
ffi_error *native_head(ffi_frame *f);
ffi_error *native_copy(ffi_frame *f);
ffi_error *native_draw(ffi_frame *f); // without attributes
ffi_error *native_pack(ffi_frame *f);

// Training's, in learn_handlers.c.
ffi_error *native_dense(ffi_frame *f);
ffi_error *native_dense_to_x(ffi_frame *f);
ffi_error *native_dense_to_w(ffi_frame *f);
ffi_error *native_changed(ffi_frame *f);
ffi_error *native_changed_to_x(ffi_frame *f);
ffi_error *native_changed_to_change(ffi_frame *f);
ffi_error *native_norm_rows(ffi_frame *f); // with eps
ffi_error *native_norm_rows_backward(ffi_frame *f);
ffi_error *native_gate_rows(ffi_frame *f);
ffi_error *native_gate_rows_backward(ffi_frame *f);
ffi_error *native_segments(ffi_frame *f); // with scale
ffi_error *native_segments_backward(ffi_frame *f);
