/* What other programs ask a driver: power limits, memory, temperature. For comparing their cost with ours. */
#include <string.h>

#include "script.h"

#define BEGIN(device)                               \
    do {                                            \
        int code_ = begin(__func__, device);        \
        if (code_)                                  \
            return code_;                           \
    } while (0)

enum { LIMIT_MILLIWATT = 700000, CELSIUS = 55, UNSIGNED_INT = 1, ARCHITECTURE_HOPPER = 9 };
static const unsigned long long MEMORY = 80ull << 30, USED = 60ull << 30;

struct memory {
    unsigned long long total, free, used;
};

struct memory_v2 {
    uint32_t version;
    unsigned long long total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo(struct device *d, struct memory *memory) {
    BEGIN(d);
    *memory = (struct memory){MEMORY, MEMORY - USED, USED};
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(struct device *d, struct memory_v2 *memory) {
    BEGIN(d);
    *memory = (struct memory_v2){memory->version, MEMORY, 0, MEMORY - USED, USED};
    return SUCCESS;
}

int nvmlDeviceGetTemperature(struct device *d, uint32_t sensor, uint32_t *celsius) {
    BEGIN(d);
    *celsius = CELSIUS;
    return sensor ? INVALID_ARGUMENT : SUCCESS;
}

struct temperature {
    uint32_t version, sensor;
    int celsius;
};

int nvmlDeviceGetTemperatureV(struct device *d, struct temperature *temperature) {
    BEGIN(d);
    temperature->celsius = CELSIUS;
    return SUCCESS;
}

static int limit(const char *function, struct device *d, uint32_t *milliwatt) {
    *milliwatt = LIMIT_MILLIWATT;
    return begin(function, d);
}

int nvmlDeviceGetEnforcedPowerLimit(struct device *d, uint32_t *milliwatt) { return limit(__func__, d, milliwatt); }
int nvmlDeviceGetPowerManagementLimit(struct device *d, uint32_t *milliwatt) { return limit(__func__, d, milliwatt); }
int nvmlDeviceGetPowerManagementDefaultLimit(struct device *d, uint32_t *milliwatt) {
    return limit(__func__, d, milliwatt);
}

int nvmlDeviceGetPowerManagementLimitConstraints(struct device *d, uint32_t *least, uint32_t *most) {
    *least = 200000;
    return limit(__func__, d, most);
}

int nvmlDeviceGetComputeMode(struct device *d, uint32_t *mode) {
    BEGIN(d);
    *mode = 0;
    return SUCCESS;
}

int nvmlDeviceGetArchitecture(struct device *d, uint32_t *architecture) {
    BEGIN(d);
    *architecture = ARCHITECTURE_HOPPER;
    return SUCCESS;
}

int nvmlDeviceGetIndex(struct device *d, uint32_t *index) {
    BEGIN(d);
    *index = (uint32_t)d->index;
    return SUCCESS;
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(struct device *d, uint32_t *count, void *infos) {
    (void)infos;
    BEGIN(d);
    *count = 0;
    return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    BEGIN(NULL);
    *version = 13020;
    return SUCCESS;
}

struct field_value {
    uint32_t id, scope;
    long long timestamp, latency_us;
    uint32_t type;
    int code;
    union {
        double number;
        uint32_t ui;
        unsigned long long ull;
    } value;
};

/* Every field is the present power: the ones that others ask are (ids 185 and 186). */
int nvmlDeviceGetFieldValues(struct device *d, int count, struct field_value *values) {
    BEGIN(d);
    for (int i = 0; i < count; i++) {
        values[i].type = UNSIGNED_INT;
        values[i].code = SUCCESS;
        values[i].value.ui = load_at(d, now_ns())->milliwatt;
    }
    return SUCCESS;
}

struct pci {
    char legacy_bus_id[16];
    uint32_t domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(struct device *d, struct pci *pci) {
    BEGIN(d);
    memset(pci, 0, sizeof *pci);
    pci->bus = (uint32_t)d->index + 1;
    strcpy(pci->bus_id, "00000000:01:00.0");
    return SUCCESS;
}

static int none(const char *function, struct device *d, uint32_t *value) {
    *value = 0;
    return begin(function, d);
}

int nvmlDeviceGetEncoderUtilization(struct device *d, uint32_t *percent, uint32_t *period_us) {
    *period_us = 166667;
    return none(__func__, d, percent);
}

int nvmlDeviceGetDecoderUtilization(struct device *d, uint32_t *percent, uint32_t *period_us) {
    *period_us = 166667;
    return none(__func__, d, percent);
}

int nvmlDeviceGetPcieThroughput(struct device *d, uint32_t counter, uint32_t *kilobytes) {
    (void)counter;
    return none(__func__, d, kilobytes);
}

int nvmlDeviceGetTotalEccErrors(struct device *d, uint32_t kind, uint32_t counter, unsigned long long *errors) {
    (void)kind, (void)counter;
    BEGIN(d);
    *errors = 0;
    return SUCCESS;
}

int nvmlDeviceGetDisplayActive(struct device *d, uint32_t *active) { return none(__func__, d, active); }
int nvmlDeviceGetDisplayMode(struct device *d, uint32_t *mode) { return none(__func__, d, mode); }
int nvmlDeviceGetPersistenceMode(struct device *d, uint32_t *mode) { return none(__func__, d, mode); }
int nvmlDeviceGetPerformanceState(struct device *d, uint32_t *state) { return none(__func__, d, state); }
int nvmlDeviceGetFanSpeed(struct device *d, uint32_t *percent) { BEGIN(d); *percent = 0; return NOT_SUPPORTED; }

int nvmlDeviceGetDriverModel(struct device *d, uint32_t *current, uint32_t *pending) {
    BEGIN(d);
    *current = *pending = 0;
    return NOT_SUPPORTED;
}
