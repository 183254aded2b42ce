// Kernels are loaded into the process, not into a context (CUDA 12): the driver brings them into a context at their first launch there, or
// before, by bring_in. A launch may happen while XLA records its stream, where loading is refused unless the thread says that it knows.
#define _GNU_SOURCE
#include "driver.h"
#include "handlers.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef int Result; // CUresult, 0 = success
enum { JIT_ERROR_LOG = 5, JIT_ERROR_LOG_BYTES = 6, MAJOR = 75, MINOR = 76, CAPTURE_RELAXED = 2 };

static struct {
  Result (*cuInit)(unsigned);
  Result (*cuGetErrorName)(Result, const char **);
  Result (*cuDeviceGetCount)(int *);
  Result (*cuDeviceGet)(int *, int);
  Result (*cuDeviceGetAttribute)(int *, int, int);
  Result (*cuDevicePrimaryCtxGetState)(int, unsigned *, int *);
  Result (*cuDevicePrimaryCtxRetain)(void **, int);
  Result (*cuDevicePrimaryCtxRelease_v2)(int);
  Result (*cuCtxPushCurrent_v2)(void *);
  Result (*cuCtxPopCurrent_v2)(void **);
  Result (*cuLibraryLoadData)(void **, const void *, const int *, void *const *, unsigned, const int *, void *const *, unsigned);
  Result (*cuLibraryUnload)(void *);
  Result (*cuLibraryGetKernel)(void **, void *, const char *);
  Result (*cuKernelGetFunction)(void **, void *);
  Result (*cuThreadExchangeStreamCaptureMode)(int *);
  Result (*cuLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
} cuda;

static const struct {
  const char *name;
  void *at;
} functions[] = {
#define FUNCTION(name) {#name, &cuda.name}
    FUNCTION(cuInit), FUNCTION(cuGetErrorName), FUNCTION(cuDeviceGetCount), FUNCTION(cuDeviceGet), FUNCTION(cuDeviceGetAttribute),
    FUNCTION(cuDevicePrimaryCtxGetState), FUNCTION(cuDevicePrimaryCtxRetain), FUNCTION(cuDevicePrimaryCtxRelease_v2), FUNCTION(cuCtxPushCurrent_v2),
    FUNCTION(cuCtxPopCurrent_v2), FUNCTION(cuLibraryLoadData), FUNCTION(cuLibraryUnload), FUNCTION(cuLibraryGetKernel), FUNCTION(cuKernelGetFunction),
    FUNCTION(cuThreadExchangeStreamCaptureMode), FUNCTION(cuLaunchKernel),
#undef FUNCTION
};

enum { FUNCTIONS = sizeof functions / sizeof *functions };

#define COUNT(D, BLOCKS) +1
enum { HEAD_DIMS = 0 DECODE_HEAD_DIMS(COUNT), KERNELS = 2 * HEAD_DIMS + 1 };
#define SIZE(D, BLOCKS) D,
static const int head_dims[] = {DECODE_HEAD_DIMS(SIZE)};
#define F32(D, BLOCKS) "decode_f32_" #D,
#define BF16(D, BLOCKS) "decode_bf16_" #D,
static const char *const names[KERNELS] = {DECODE_HEAD_DIMS(F32) DECODE_HEAD_DIMS(BF16) "decode_join"};

static void *kernels[KERNELS];
static int loaded;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int kernel_of(int kind, int head_dim) {
  if (kind == KERNEL_JOIN) return KERNELS - 1;
  for (int i = 0; i < HEAD_DIMS; i++)
    if (head_dims[i] == head_dim) return kind == KERNEL_DECODE_BF16 ? HEAD_DIMS + i : i;
  return -1;
}

static const char *name_of(Result r) {
  const char *name = 0;
  if (!r) return 0;
  if (cuda.cuGetErrorName(r, &name) || !name) return "an error without a name";
  return name;
}

__attribute__((format(printf, 1, 2))) static char *say(const char *format, ...) {
  char *text = 0;
  va_list values;
  va_start(values, format);
  if (vasprintf(&text, format, values) < 0) abort(); // no memory
  va_end(values);
  return text;
}

static char *find_functions(const char *library) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return say("open the driver's library: %s", dlerror());
  for (int i = 0; i < FUNCTIONS; i++) {
    void *found = dlsym(handle, functions[i].name);
    if (!found) return say("%s has no %s: the driver is older than CUDA 12", library, functions[i].name);
    *(void **)functions[i].at = found;
  }
  return 0;
}

// check_devices refuses a machine with a GPU that the kernels are not made for: XLA may run on any of them.
static char *check_devices(void) {
  int n = 0;
  const char *wrong = name_of(cuda.cuInit(0));
  if (!wrong) wrong = name_of(cuda.cuDeviceGetCount(&n));
  for (int i = 0; i < n && !wrong; i++) {
    int device, major, minor;
    wrong = name_of(cuda.cuDeviceGet(&device, i));
    if (!wrong) wrong = name_of(cuda.cuDeviceGetAttribute(&major, MAJOR, device));
    if (!wrong) wrong = name_of(cuda.cuDeviceGetAttribute(&minor, MINOR, device));
    if (!wrong && major < 8) return say("GPU %d has the compute capability %d.%d; want 8.0 or more", i, major, minor);
  }
  return wrong ? say("look for GPUs: %s", wrong) : 0;
}

static char *load_kernels(const char *ptx) {
  char log[2048] = "";
  const int options[] = {JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES};
  void *const values[] = {log, (void *)(uintptr_t)(sizeof log - 1)};
  void *library;
  const char *wrong = name_of(cuda.cuLibraryLoadData(&library, ptx, options, values, 2, 0, 0, 0));
  if (wrong) return say("load the kernels: %s %s", wrong, log);
  for (int i = 0; i < KERNELS; i++) {
    wrong = name_of(cuda.cuLibraryGetKernel(&kernels[i], library, names[i]));
    if (!wrong) continue;
    cuda.cuLibraryUnload(library);
    return say("find kernel %s: %s", names[i], wrong);
  }
  return 0;
}

// bring_in compiles the kernels for a device that this process uses already.
static const char *bring_in(int device) {
  unsigned flags;
  int active = 0;
  void *context, *function;
  const char *wrong = name_of(cuda.cuDevicePrimaryCtxGetState(device, &flags, &active));
  if (wrong || !active) return wrong;
  if ((wrong = name_of(cuda.cuDevicePrimaryCtxRetain(&context, device)))) return wrong;
  wrong = name_of(cuda.cuCtxPushCurrent_v2(context));
  if (!wrong) {
    for (int i = 0; i < KERNELS && !wrong; i++) wrong = name_of(cuda.cuKernelGetFunction(&function, kernels[i]));
    cuda.cuCtxPopCurrent_v2(&context);
  }
  cuda.cuDevicePrimaryCtxRelease_v2(device);
  return wrong;
}

static char *bring_in_all(void) {
  int n = 0, device;
  const char *wrong = name_of(cuda.cuDeviceGetCount(&n));
  for (int i = 0; i < n && !wrong; i++) {
    wrong = name_of(cuda.cuDeviceGet(&device, i));
    if (!wrong) wrong = bring_in(device);
  }
  return wrong ? say("load the kernels into a GPU: %s", wrong) : 0;
}

char *cuda_load(const char *library, const char *ptx) {
  pthread_mutex_lock(&lock);
  char *wrong = 0;
  if (!loaded) {
    wrong = find_functions(library);
    if (!wrong) wrong = check_devices();
    if (!wrong) wrong = load_kernels(ptx);
    if (!wrong) wrong = bring_in_all();
    loaded = !wrong;
  }
  pthread_mutex_unlock(&lock);
  return wrong;
}

const char *launch(int kernel, const unsigned grid[3], void *stream, Decode *a) {
  pthread_mutex_lock(&lock);
  int ready = loaded;
  pthread_mutex_unlock(&lock);
  if (!ready) return "the kernels are not loaded";
  void *parameters[] = {a};
  int mode = CAPTURE_RELAXED;
  const char *wrong = name_of(cuda.cuThreadExchangeStreamCaptureMode(&mode));
  if (wrong) return wrong;
  wrong = name_of(cuda.cuLaunchKernel(kernels[kernel], grid[0], grid[1], grid[2], DECODE_THREADS, 1, 1, 0, stream, parameters, 0));
  cuda.cuThreadExchangeStreamCaptureMode(&mode);
  return wrong;
}
