// The few functions of CUDA's driver that launch kernels, found at run time.
#pragma once
#include "decode.h"

// The kernels: for each size of head one for f32 pools and one for bf16 pools, and the join of spans.
enum { KERNEL_DECODE_F32, KERNEL_DECODE_BF16, KERNEL_JOIN, KERNEL_KINDS };

// kernel_of gives the kernel's number, or -1 where there is none for this size of head.
int kernel_of(int kind, int head_dim);

// launch puts a kernel on a stream, its blocks of DECODE_THREADS threads. It gives NULL or the driver's name for what is wrong.
const char *launch(int kernel, const unsigned grid[3], void *stream, Decode *a);
