/* A STAND-IN for NVIDIA's libnvidia-ml.so.1, for machines without a GPU. Nothing here was measured on a card; its error
 * codes and its structures are those of nvml.h. Everything above it - pynvml's ctypes calls, our code, the link - is the
 * real thing. Functions it lacks are "function not found" to pynvml.
 *
 * The file $FAKE_NVML (read at every init and every count of the GPUs) says what is wrong with the machine, one per line:
 *   gpus N                          how many there are (2)
 *   all CODE                        every function answers so, the init too
 *   fail FUNCTION GPU CODE          one query of one GPU (-1: of all)
 *   slow FUNCTION MILLISECONDS      it takes so long
 *   memory GPU MIB                  in use, without what the driver keeps for itself
 *   process GPU PID MIB
 *   mig GPU INSTANCES
 * How often each function was called is written to $FAKE_NVML.calls at every count of the GPUs.
 * -DFAULTS="..." names that file for processes without the variable, -DDRIVER="..." the driver; -DOLD leaves out what
 * drivers before 510 lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FAULTS
#define FAULTS NULL
#endif
#ifndef DRIVER
#define DRIVER "570.00"
#endif

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u64 total, free, used; } memory_t;
typedef struct { u32 version; u64 total, reserved, free, used; } memory_v2_t;
typedef struct { u32 gpu, memory; } utilization_t;
typedef struct { u32 pid; u64 used; u32 instance, compute; } process_t;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, MOST = 64, GPUS = 64, FUNCTIONS = 64 };
static const u64 MIB = 1024ULL * 1024, RESERVED = 620;

static struct { char name[80]; int gpu, code, slow_ms; } faults[MOST];
static struct { int gpu; u32 pid; u64 mib; } processes[MOST];
static struct { char name[80]; int calls; } counted[FUNCTIONS];
static int fault_count, process_count, gpu_count, all_code, mig[GPUS];
static u64 memory_mib[GPUS];

static const char *faults_file(void) {
  const char *path = getenv("FAKE_NVML");
  return path ? path : FAULTS;
}

static void read_faults(void) {
  const char *path = faults_file();
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[256], name[80];
  int gpu, code, number;
  unsigned pid, mib;
  fault_count = process_count = all_code = 0;
  gpu_count = 2;
  memset(mig, 0, sizeof mig);
  memset(memory_mib, 0, sizeof memory_mib);
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "gpus %d", &number) == 1) gpu_count = number;
    else if (sscanf(line, "all %d", &number) == 1) all_code = number;
    else if (sscanf(line, "memory %d %u", &gpu, &mib) == 2) memory_mib[gpu] = mib;
    else if (sscanf(line, "mig %d %d", &gpu, &number) == 2) mig[gpu] = number;
    else if (sscanf(line, "process %d %u %u", &gpu, &pid, &mib) == 3) {
      processes[process_count].gpu = gpu;
      processes[process_count].pid = pid;
      processes[process_count++].mib = mib;
    } else if (sscanf(line, "fail %79s %d %d", name, &gpu, &code) == 3) {
      strcpy(faults[fault_count].name, name);
      faults[fault_count].slow_ms = 0;
      faults[fault_count].gpu = gpu;
      faults[fault_count++].code = code;
    } else if (sscanf(line, "slow %79s %d", name, &number) == 2) {
      strcpy(faults[fault_count].name, name);
      faults[fault_count].gpu = -1;
      faults[fault_count].code = 0;
      faults[fault_count++].slow_ms = number;
    }
  }
  if (file) fclose(file);
}

static void tell_calls(void) {
  const char *path = faults_file();
  char other[1024];
  FILE *file;
  if (!path) return;
  snprintf(other, sizeof other, "%s.calls", path);
  if (!(file = fopen(other, "w"))) return;
  for (int i = 0; i < FUNCTIONS && counted[i].calls; i++) fprintf(file, "%s %d\n", counted[i].name, counted[i].calls);
  fclose(file);
}

static int asked(const char *name, int gpu) {
  int i = 0;
  while (i < FUNCTIONS - 1 && counted[i].calls && strcmp(counted[i].name, name) != 0) i++;
  snprintf(counted[i].name, sizeof counted[i].name, "%s", name);
  counted[i].calls++;
  if (all_code) return all_code;
  for (i = 0; i < fault_count; i++) {
    if (strcmp(faults[i].name, name) != 0 || (faults[i].gpu != -1 && faults[i].gpu != gpu)) continue;
    if (faults[i].slow_ms) usleep(faults[i].slow_ms * 1000);
    if (faults[i].code) return faults[i].code;
  }
  return SUCCESS;
}

/* A handle is the number of the GPU plus one; that of a MIG instance has its own number plus one from bit 8 up. */
static int number_of(void *handle) { return (int)((long)handle & 255) - 1; }
static int instance_of(void *handle) { return (int)((long)handle >> 8) - 1; }

#define ASKED(gpu) do { int code = asked(__func__, gpu); if (code) return code; } while (0)
#define NUMBER(function, value) int function(void *handle, u32 *told) { ASKED(number_of(handle)); *told = value; return SUCCESS; }
#define NUMBER_OF(function, value) int function(void *handle, int which, u32 *told) { \
  (void)which; ASKED(number_of(handle)); *told = value; return SUCCESS; }

int nvmlInitWithFlags(u32 flags) { (void)flags; read_faults(); ASKED(-1); return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, u32 size) { ASKED(-1); snprintf(text, size, "%s", DRIVER); return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { ASKED(-1); *version = 12080; return SUCCESS; }
int nvmlDeviceGetCount_v2(u32 *count) { read_faults(); ASKED(-1); tell_calls(); *count = gpu_count; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(u32 index, void **handle) {
  ASKED((int)index);
  *handle = (void *)(long)(index + 1);
  return SUCCESS;
}
int nvmlDeviceGetName(void *handle, char *text, u32 size) {
  ASKED(number_of(handle));
  if (instance_of(handle) >= 0) snprintf(text, size, "Stand-in GPU %d MIG 1g.10gb", number_of(handle));
  else snprintf(text, size, "Stand-in GPU %d", number_of(handle));
  return SUCCESS;
}
int nvmlDeviceGetUUID(void *handle, char *text, u32 size) {
  ASKED(number_of(handle));
  if (instance_of(handle) >= 0) snprintf(text, size, "MIG-stand-in-%d-%d", number_of(handle), instance_of(handle));
  else snprintf(text, size, "GPU-stand-in-%d", number_of(handle));
  return SUCCESS;
}
/* The first form counts what the driver keeps for itself as used, as drivers since 510 do. */
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
  ASKED(number_of(handle));
  memory->total = (instance_of(handle) >= 0 ? 10240 : 81920) * MIB;
  memory->used = memory_mib[number_of(handle)] * MIB;
#ifndef OLD
  memory->used += RESERVED * MIB;
#endif
  memory->free = memory->total - memory->used;
  return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *handle, utilization_t *rates) {
  ASKED(number_of(handle));
  if (mig[number_of(handle)]) return NOT_SUPPORTED;
  rates->gpu = memory_mib[number_of(handle)] ? 97 : 0;
  rates->memory = rates->gpu / 2;
  return SUCCESS;
}
NUMBER_OF(nvmlDeviceGetTemperature, 61)
NUMBER_OF(nvmlDeviceGetTemperatureThreshold, 87)
NUMBER_OF(nvmlDeviceGetClockInfo, which == 1 ? 1410 : 2619)
NUMBER_OF(nvmlDeviceGetMaxClockInfo, which == 1 ? 1980 : 2619)
NUMBER_OF(nvmlDeviceGetPcieThroughput, which == 1 ? 2048 : 1024)
NUMBER(nvmlDeviceGetPowerUsage, 412500)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, 700000)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, 4)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, 5)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, 8)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, 16)
NUMBER(nvmlDeviceGetMaxMigDeviceCount, 7)
NUMBER(nvmlDeviceGetGpuInstanceId, instance_of(handle) + 3)
NUMBER(nvmlDeviceGetComputeInstanceId, 0)
int nvmlDeviceGetFanSpeed(void *handle, u32 *percent) { (void)percent; ASKED(number_of(handle)); return NOT_SUPPORTED; }
int nvmlDeviceGetTotalEccErrors(void *handle, int type, int counter, u64 *count) {
  ASKED(number_of(handle));
  *count = type == 1 ? (counter == 0 ? 1 : 4) : 1000;
  return SUCCESS;
}
int nvmlDeviceGetMigMode(void *handle, u32 *current, u32 *pending) {
  ASKED(number_of(handle));
  *current = *pending = mig[number_of(handle)] > 0;
  return SUCCESS;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, u32 index, void **instance) {
  ASKED(number_of(handle));
  if ((int)index >= mig[number_of(handle)]) return NOT_FOUND;
  *instance = (void *)((long)handle | (long)(index + 1) << 8);
  return SUCCESS;
}
static int tell_processes(void *handle, u32 *count, process_t *list) {
  u32 room = *count, found = 0;
  for (int i = 0; i < process_count; i++) {
    if (processes[i].gpu != number_of(handle)) continue;
    if (list && found < room)
      list[found] = (process_t){processes[i].pid, processes[i].mib * MIB, mig[number_of(handle)] ? 3 : ~0U, ~0U};
    found++;
  }
  *count = found;
  return found > room ? INSUFFICIENT_SIZE : SUCCESS;
}
#ifdef OLD
int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, u32 *count, process_t *list) {
  ASKED(number_of(handle));
  return tell_processes(handle, count, list);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, u64 *bits) { ASKED(number_of(handle)); *bits = 0x8; return SUCCESS; }
#else
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, u32 *count, process_t *list) {
  ASKED(number_of(handle));
  return tell_processes(handle, count, list);
}
int nvmlDeviceGetCurrentClocksEventReasons(void *handle, u64 *bits) {
  ASKED(number_of(handle));
  *bits = 0x4 | 0x40 | 0x10000;
  return SUCCESS;
}
int nvmlDeviceGetMemoryInfo_v2(void *handle, memory_v2_t *memory) {
  ASKED(number_of(handle));
  memory->total = (instance_of(handle) >= 0 ? 10240 : 81920) * MIB;
  memory->reserved = RESERVED * MIB;
  memory->used = memory_mib[number_of(handle)] * MIB;
  memory->free = memory->total - memory->reserved - memory->used;
  return SUCCESS;
}
#endif
