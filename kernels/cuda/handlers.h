// Custom calls of programs on CUDA, and what loads their kernels. Nothing here links NVIDIA's libraries.
#pragma once
#include "ffi.h"

// cuda_decode is attention over pages (kernels.PagedAttention). Operands: q [seqs, tokens, heads, headDim] f32 or bf16, times the scale of scores and sqrt(headDim); pools k and v
// [pages, kvHeads, pageTokens, headDim] f32 or bf16; table [seqs, maxPages] i32; positions [seqs, tokens] i32. Results: as q; and where there
// is more than one span of DECODE_SPAN positions, the spans' sums [rows, spans, headDim] and marks [rows, spans, 2] f32 of rows =
// seqs*tokens*heads. cuda_decode_here is the same without a stream, for a driver of tests that computes on this machine's memory.
ffi_error *cuda_decode(ffi_frame *f);
ffi_error *cuda_decode_here(ffi_frame *f);

// cuda_load opens the driver's library and loads the kernels from PTX that ends with a 0; once it did, it does nothing. It says what is wrong in a
// malloc'ed text, or gives NULL.
char *cuda_load(const char *library, const char *ptx);
