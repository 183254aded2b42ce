// Compiling for a device that is not here: a topology instead of a client, which the plugin makes of a description of the device.
#include "abi.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const Table *table;
  void *topology;
} Target;

typedef void *(*Fn)(void *);
static void *call(const Target *t, int fn, void *args) { return ((Fn)t->table->fn[fn])(args); }

static char *taken(const Target *t, void *error) { return interposer_taken_by(t->table, error); }

const Table *interposer_target_table(void *target) { return ((Target *)target)->table; }

static NamedValue string_option(const char *name, const char *value) {
  return (NamedValue){sizeof(NamedValue), 0, name, strlen(name), NAMED_STRING, {value}, strlen(value)};
}

// interposer_target loads a plugin and describes a device to it: config is a GpuTargetConfigProto as text, shape counts processes, hosts and
// devices as in 1x1x1. The target lives as long as the process.
char *interposer_target(const char *path, const char *config, const char *shape, void **target) {
  char *error = 0;
  Target *t = calloc(1, sizeof *t);
  if ((error = interposer_table(path, &t->table))) return error;
  Plugin_Initialize_Args i = {sizeof i, 0};
  if ((error = taken(t, call(t, FN_Plugin_Initialize, &i)))) return error;
  NamedValue options[] = {string_option("target_config", config), string_option("topology", shape)};
  TopologyDescription_Create_Args a = {sizeof a, 0, "target", 6, options, 2, 0};
  error = taken(t, call(t, FN_TopologyDescription_Create, &a));
  t->topology = a.topology;
  *target = t;
  return error;
}

// optimized_of copies the program as the compiler's passes left it, a serialised HloModuleProto with its configuration.
static char *optimized_of(const Target *t, void *executable, char **bytes, size_t *size) {
  Program p = {sizeof p, 0, 0, 0, 0, 0};
  Executable_OptimizedProgram_Args a = {sizeof a, 0, executable, &p};
  char *error = taken(t, call(t, FN_Executable_OptimizedProgram, &a)); // tells the size
  if (error) return error;
  p.code = *bytes = malloc(p.code_size + 1);
  *size = p.code_size;
  return taken(t, call(t, FN_Executable_OptimizedProgram, &a));
}

char *interposer_target_compile(void *target, const char *text, size_t size, const char *options, size_t options_size,
                                Executable_GetCompiledMemoryStats_Args *memory, char **optimized, size_t *optimized_size) {
  const Target *t = target;
  Program p = {sizeof p, 0, (char *)text, size, "mlir", 4};
  Compile_Args a = {sizeof a, 0, t->topology, &p, options, options_size, 0, 0};
  char *error = taken(t, call(t, FN_Compile, &a));
  if (error) return error;
  memory->struct_size = sizeof *memory;
  memory->executable = a.executable;
  error = taken(t, call(t, FN_Executable_GetCompiledMemoryStats, memory));
  if (!error) error = optimized_of(t, a.executable, optimized, optimized_size);
  Executable_Destroy_Args d = {sizeof d, 0, a.executable};
  free(taken(t, call(t, FN_Executable_Destroy, &d)));
  return error;
}
