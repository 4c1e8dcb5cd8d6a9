/* A STAND-IN for NVIDIA's libnvidia-ml.so.1, for machines without a GPU. It answers the few queries the pod side asks:
 * two cards, of which the second has "fallen off the bus" (error 15) for some of them. Everything above it - pynvml's
 * ctypes calls, our code, the link - is the real thing. Functions it lacks are "function not found" to pynvml. */
#include <stdio.h>

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, compute; } process_t;

enum { SUCCESS = 0, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
static const unsigned long long GIB = 1024ULL * 1024 * 1024;

static int number(void *handle) { return (int)(long)handle - 1; }

int nvmlInitWithFlags(unsigned int flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "stand-in error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { snprintf(text, size, "570.00"); return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) { *handle = (void *)(long)(index + 1); return SUCCESS; }
int nvmlDeviceGetName(void *handle, char *text, unsigned int size) {
  snprintf(text, size, "Stand-in GPU %d", number(handle));
  return SUCCESS;
}
int nvmlDeviceGetUUID(void *handle, char *text, unsigned int size) {
  snprintf(text, size, "GPU-stand-in-%d", number(handle));
  return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *handle, memory_t *memory) {
  memory->total = 80 * GIB;
  memory->used = number(handle) == 0 ? 60 * GIB : 0;
  memory->free = memory->total - memory->used;
  return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(void *handle, utilization_t *rates) {
  if (number(handle) == 1) return GPU_IS_LOST;
  rates->gpu = 97;
  rates->memory = 50;
  return SUCCESS;
}
int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned int *celsius) {
  (void)sensor;
  if (number(handle) == 1) return GPU_IS_LOST;
  *celsius = 61;
  return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *handle, unsigned int *milliwatts) { (void)handle; *milliwatts = 412500; return SUCCESS; }
int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, process_t *list) {
  if (number(handle) == 1) { *count = 0; return SUCCESS; }
  if (*count < 1 || list == 0) { *count = 1; return INSUFFICIENT_SIZE; }
  *count = 1;
  list[0] = (process_t){.pid = 1, .used = 59 * GIB};
  return SUCCESS;
}
