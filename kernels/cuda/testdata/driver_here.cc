// A driver without a GPU: the functions of NVIDIA's driver that kernels/cuda calls, whose launches run the kernels on this processor and its
// memory. It appends the name of each kernel that it runs to the file that ASTRO_TEST_CUDA_LOG names; ASTRO_TEST_CUDA_WRONG makes it fail: "ptx"
// refuses the kernels, "old" shows an old GPU, "launch" runs nothing.
#include "../decode.cu"
#include <pthread.h>

#define API extern "C" __attribute__((visibility("default"))) int

enum { SUCCESS, INVALID_VALUE, INVALID_PTX = 218, NOT_FOUND = 500, LAUNCH_FAILED = 719 };
enum { MAJOR = 75 };

struct Kernel {
  const char *name;
  void (*run)(const Decode);
};
static Kernel kernels[] = {
#define KERNELS(D, BLOCKS) {"decode_f32_" #D, decode_f32_##D}, {"decode_bf16_" #D, decode_bf16_##D},
    DECODE_HEAD_DIMS(KERNELS){"decode_join", decode_join},
};
static char *program;
static int current, retained;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool wrong(const char *what) {
  const char *set = getenv("ASTRO_TEST_CUDA_WRONG");
  return set && !strcmp(set, what);
}

API cuInit(unsigned flags) { return flags ? INVALID_VALUE : SUCCESS; }

API cuGetErrorName(int error, const char **name) {
  *name = error == INVALID_PTX ? "CUDA_ERROR_INVALID_PTX" : error == LAUNCH_FAILED ? "CUDA_ERROR_LAUNCH_FAILED" : "CUDA_ERROR_OTHER";
  return SUCCESS;
}

API cuDeviceGetCount(int *n) {
  *n = 2;
  return SUCCESS;
}

API cuDeviceGet(int *device, int i) {
  *device = 40 + i;
  return SUCCESS;
}

API cuDeviceGetAttribute(int *value, int attribute, int device) {
  if (device < 40 || device > 41) return INVALID_VALUE;
  *value = attribute == MAJOR ? (wrong("old") && device == 41 ? 7 : 9) : 0;
  return SUCCESS;
}

API cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { // the second GPU is not used
  *flags = 0;
  *active = device == 40;
  return SUCCESS;
}

API cuDevicePrimaryCtxRetain(void **context, int device) {
  if (device != 40) return INVALID_VALUE;
  retained++;
  *context = &retained;
  return SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(int) { return retained-- > 0 ? SUCCESS : INVALID_VALUE; }

API cuCtxPushCurrent_v2(void *context) {
  current += context == &retained;
  return SUCCESS;
}

API cuCtxPopCurrent_v2(void **context) {
  *context = &retained;
  return current-- > 0 ? SUCCESS : INVALID_VALUE;
}

API cuLibraryLoadData(void **library, const void *code, const int *options, void *const *values, unsigned n, const int *, void *const *, unsigned more) {
  if (n != 2 || options[0] != 5 || options[1] != 6 || more) return INVALID_VALUE;
  if (wrong("ptx")) {
    snprintf((char *)values[0], (size_t)values[1], "line 7: unknown instruction");
    return INVALID_PTX;
  }
  free(program);
  program = strdup((const char *)code);
  *library = &program;
  return SUCCESS;
}

API cuLibraryUnload(void *library) { return library == &program ? SUCCESS : INVALID_VALUE; }

API cuLibraryGetKernel(void **kernel, void *library, const char *name) {
  char entry[64];
  snprintf(entry, sizeof entry, ".entry %s(", name);
  if (library != &program || !strstr(program, entry)) return NOT_FOUND;
  for (Kernel &k : kernels)
    if (!strcmp(k.name, name)) {
      *kernel = &k;
      return SUCCESS;
    }
  return NOT_FOUND;
}

API cuKernelGetFunction(void **function, void *kernel) {
  if (current != 1) return INVALID_VALUE;
  *function = kernel;
  return SUCCESS;
}

API cuThreadExchangeStreamCaptureMode(int *mode) {
  static thread_local int of_thread;
  int before = of_thread;
  of_thread = *mode;
  *mode = before;
  return SUCCESS;
}

static void note(const char *kernel) {
  const char *path = getenv("ASTRO_TEST_CUDA_LOG");
  FILE *log = path ? fopen(path, "a") : 0;
  if (!log) return;
  fprintf(log, "%s\n", kernel);
  fclose(log);
}

API cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **parameters, void **extra) {
  if (by != 1 || bz != 1 || bx > simt::MOST_THREADS || shared || stream || extra || !gx || !gy || !gz) return INVALID_VALUE;
  if (wrong("launch")) return LAUNCH_FAILED;
  const unsigned grid[3] = {gx, gy, gz};
  pthread_mutex_lock(&lock);
  Kernel *k = (Kernel *)function;
  simt::run(k->run, *(const Decode *)parameters[0], grid, (int)bx);
  note(k->name);
  pthread_mutex_unlock(&lock);
  return SUCCESS;
}
