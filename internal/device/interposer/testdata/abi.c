// Compares abi.h with go-xla's own header of the PJRT C API. It is compiled by abi_test.go, never linked.
#include "pjrt_c_api.h"
#include "../abi.h"

#define INDEX(F) _Static_assert(offsetof(PJRT_Api, PJRT_##F) == offsetof(Table, fn) + sizeof(void *) * FN_##F, #F)
INDEX(Error_Destroy);
INDEX(Error_Message);
INDEX(Error_GetCode);
INDEX(Plugin_Initialize);
INDEX(Client_PlatformVersion);
INDEX(Client_Compile);
INDEX(Executable_Destroy);
INDEX(Executable_OptimizedProgram);
INDEX(Executable_Serialize);
INDEX(LoadedExecutable_GetExecutable);
INDEX(Executable_DeserializeAndLoad);
INDEX(TopologyDescription_Create);
INDEX(Compile);
INDEX(Executable_GetCompiledMemoryStats);
INDEX(Client_Create);
INDEX(Client_AddressableDevices);
INDEX(DeviceDescription_Attributes);
INDEX(DeviceDescription_Kind);
INDEX(Device_GetDescription);
INDEX(Device_MemoryStats);

#define SAME(T, OURS, THEIRS) _Static_assert(offsetof(T, OURS) == offsetof(PJRT_##T, THEIRS), #T "." #OURS)
#define SIZE(T) _Static_assert(sizeof(T) == sizeof(PJRT_##T), #T)
SIZE(Error_Destroy_Args); SAME(Error_Destroy_Args, error, error);
SIZE(Error_Message_Args); SAME(Error_Message_Args, message, message); SAME(Error_Message_Args, message_size, message_size);
SIZE(Error_GetCode_Args); SAME(Error_GetCode_Args, code, code);
SIZE(Plugin_Initialize_Args);
SIZE(Client_PlatformVersion_Args); SAME(Client_PlatformVersion_Args, platform_version, platform_version);
SIZE(Program); SAME(Program, code, code); SAME(Program, code_size, code_size); SAME(Program, format, format); SAME(Program, format_size, format_size);
SIZE(Client_Compile_Args); SAME(Client_Compile_Args, client, client); SAME(Client_Compile_Args, program, program);
SAME(Client_Compile_Args, compile_options, compile_options); SAME(Client_Compile_Args, executable, executable);
SIZE(Executable_Destroy_Args); SAME(Executable_Destroy_Args, executable, executable);
SIZE(LoadedExecutable_GetExecutable_Args); SAME(LoadedExecutable_GetExecutable_Args, executable, executable);
SIZE(Executable_OptimizedProgram_Args); SAME(Executable_OptimizedProgram_Args, program, program);
SIZE(Executable_Serialize_Args); SAME(Executable_Serialize_Args, serialized_bytes_size, serialized_bytes_size);
SAME(Executable_Serialize_Args, serialized_executable, serialized_executable);
SAME(Executable_Serialize_Args, serialized_executable_deleter, serialized_executable_deleter);
SIZE(Executable_DeserializeAndLoad_Args); SAME(Executable_DeserializeAndLoad_Args, loaded_executable, loaded_executable);
SAME(Executable_DeserializeAndLoad_Args, serialized_executable_size, serialized_executable_size);
SIZE(NamedValue); SAME(NamedValue, name, name); SAME(NamedValue, type, type); SAME(NamedValue, string_value, string_value); SAME(NamedValue, value_size, value_size);
_Static_assert(PJRT_NamedValue_kString == 0, "NamedValue.type");
SIZE(TopologyDescription_Create_Args); SAME(TopologyDescription_Create_Args, options, create_options);
SAME(TopologyDescription_Create_Args, num_options, num_options); SAME(TopologyDescription_Create_Args, topology, topology);
SAME(Client_Create_Args, client, client); // the caller's own struct is passed on
SIZE(Client_AddressableDevices_Args); SAME(Client_AddressableDevices_Args, num_addressable_devices, num_addressable_devices);
SIZE(Device_GetDescription_Args); SAME(Device_GetDescription_Args, device_description, device_description);
SIZE(DeviceDescription_Kind_Args); SAME(DeviceDescription_Kind_Args, device_kind_size, device_kind_size);
SIZE(DeviceDescription_Attributes_Args); SAME(DeviceDescription_Attributes_Args, attributes, attributes);
_Static_assert(PJRT_NamedValue_kInt64 == NAMED_INT64, "NamedValue.type");
SIZE(Device_MemoryStats_Args); SAME(Device_MemoryStats_Args, bytes_in_use, bytes_in_use); SAME(Device_MemoryStats_Args, bytes_limit, bytes_limit);
SAME(Device_MemoryStats_Args, peak_pool_bytes_is_set, peak_pool_bytes_is_set);
SIZE(Compile_Args); SAME(Compile_Args, topology, topology); SAME(Compile_Args, program, program); SAME(Compile_Args, client, client); SAME(Compile_Args, executable, executable);
SAME(Executable_GetCompiledMemoryStats_Args, alias_size_in_bytes, alias_size_in_bytes);
SAME(Executable_GetCompiledMemoryStats_Args, temp_size_in_bytes, temp_size_in_bytes);
_Static_assert(sizeof(Executable_GetCompiledMemoryStats_Args) >= sizeof(PJRT_Executable_GetCompiledMemoryStats_Args), "memory statistics only grow");
