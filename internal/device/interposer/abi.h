// The part of the PJRT C API that the interposer touches. The API is append-only: a table of function pointers behind a fixed
// head, and argument structs that only grow. abi_test.go compares the indices and field orders with go-xla's own header.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct {
  size_t struct_size;
  void *extensions;
  struct {
    size_t struct_size;
    void *extensions;
    int major, minor;
  } version;
  void *fn[];
} Table;

// Indices in Table.fn.
enum {
  FN_Error_Destroy = 0,
  FN_Error_Message = 1,
  FN_Error_GetCode = 2,
  FN_Client_PlatformVersion = 14,
  FN_Client_Compile = 20,
  FN_Executable_Destroy = 40,
  FN_Executable_Serialize = 49,
  FN_LoadedExecutable_GetExecutable = 51,
  FN_Executable_DeserializeAndLoad = 56,
  FN_Executable_GetCompiledMemoryStats = 96,
};

// HEAD starts every argument struct.
#define HEAD size_t struct_size; void *extension_start;

typedef struct { HEAD const void *error; } Error_Destroy_Args;
typedef struct { HEAD const void *error; const char *message; size_t message_size; } Error_Message_Args;
typedef struct { HEAD const void *error; int code; } Error_GetCode_Args;
typedef struct { HEAD void *client; const char *platform_version; size_t platform_version_size; } Client_PlatformVersion_Args;
typedef struct { HEAD char *code; size_t code_size; const char *format; size_t format_size; } Program;
typedef struct { HEAD void *client; const Program *program; const char *compile_options; size_t compile_options_size; void *executable; } Client_Compile_Args;
typedef struct { HEAD void *executable; } Executable_Destroy_Args;
typedef struct { HEAD void *loaded_executable; void *executable; } LoadedExecutable_GetExecutable_Args;
typedef struct {
  HEAD const void *executable;
  const char *serialized_bytes;
  size_t serialized_bytes_size;
  void *serialized_executable;
  void (*serialized_executable_deleter)(void *);
} Executable_Serialize_Args;
typedef struct {
  HEAD void *client;
  const char *serialized_executable;
  size_t serialized_executable_size;
  void *loaded_executable;
  const char *overridden_serialized_compile_options;
  size_t overridden_serialized_compile_options_size;
} Executable_DeserializeAndLoad_Args;
typedef struct {
  HEAD void *executable;
  int64_t generated_code_size_in_bytes, argument_size_in_bytes, output_size_in_bytes, alias_size_in_bytes, temp_size_in_bytes;
  int64_t host_generated_code_size_in_bytes, host_argument_size_in_bytes, host_output_size_in_bytes, host_alias_size_in_bytes,
      host_temp_size_in_bytes;
} Executable_GetCompiledMemoryStats_Args;

// What Go calls. Every function that can fail returns NULL for success or a malloc'ed message, which the caller frees.
char *interposer_open(const char *path, int slot, Table **patched);
void *interposer_error(const char *message, size_t size);
void *interposer_compile(int slot, Client_Compile_Args *args);
char *interposer_serialize(int slot, void *loaded, char **bytes, size_t *size);
char *interposer_load(int slot, void *client, const char *bytes, size_t size, void **loaded);
char *interposer_platform_version(int slot, void *client, char **version);
int interposer_has_natives(const Table *table);
char *interposer_native(int slot, const Table *table, const char *platform, const char *target, void *handler);
char *interposer_memory(int slot, void *loaded, Executable_GetCompiledMemoryStats_Args *out);

// interposer_taken turns a plugin's error into its message and frees the error; no error gives NULL.
char *interposer_taken(int slot, void *error);
