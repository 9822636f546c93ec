/* The rest of NVML that the agent calls, answered from the script. */
#include <stdio.h>
#include <string.h>

#include "script.h"

#define BEGIN(device)                               \
    do {                                            \
        int code_ = begin(__func__, device);        \
        if (code_)                                  \
            return code_;                           \
    } while (0)

int nvmlInitWithFlags(uint32_t flags) {
    (void)flags;
    BEGIN(NULL);
    machine.initialised = 1;
    return SUCCESS;
}

int nvmlShutdown(void) {
    BEGIN(NULL);
    machine.initialised = 0;
    return SUCCESS;
}

const char *nvmlErrorString(int code) { return code == 999 ? "Unknown Error" : "scripted error"; }

static int text(char *to, uint32_t size, const char *from) {
    if (strlen(from) >= size)
        return INSUFFICIENT_SIZE;
    snprintf(to, size, "%s", from);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, uint32_t size) { BEGIN(NULL); return text(version, size, machine.driver); }
int nvmlSystemGetNVMLVersion(char *version, uint32_t size) { BEGIN(NULL); return text(version, size, machine.nvml); }

static int exists(const struct device *d) { return d->from_ns <= now_ns() && now_ns() < d->to_ns; }

int nvmlDeviceGetCount_v2(uint32_t *count) {
    BEGIN(NULL);
    *count = 0;
    for (int i = 0; i < machine.devices; i++)
        *count += !machine.device[i].parent && exists(&machine.device[i]);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(uint32_t index, struct device **handle) {
    for (int i = 0; i < machine.devices; i++) {
        struct device *d = &machine.device[i];
        if (d->parent || (uint32_t)d->index != index || !exists(d))
            continue;
        BEGIN(d);
        *handle = d;
        return SUCCESS;
    }
    BEGIN(NULL);
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetUUID(struct device *d, char *uuid, uint32_t size) { BEGIN(d); return text(uuid, size, d->uuid); }
int nvmlDeviceGetName(struct device *d, char *name, uint32_t size) { BEGIN(d); return text(name, size, d->name); }

int nvmlDeviceGetSerial(struct device *d, char *serial, uint32_t size) {
    BEGIN(d);
    return *d->serial ? text(serial, size, d->serial) : NOT_SUPPORTED;
}

int nvmlDeviceGetCudaComputeCapability(struct device *d, int *major, int *minor) {
    BEGIN(d);
    *major = d->major;
    *minor = d->minor;
    return SUCCESS;
}

int nvmlDeviceGetNumGpuCores(struct device *d, uint32_t *cores) {
    BEGIN(d);
    *cores = d->cores;
    return d->cores ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetMaxClockInfo(struct device *d, uint32_t type, uint32_t *mhz) {
    BEGIN(d);
    *mhz = d->clock_max;
    return type == 1 && d->clock_max ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetClockInfo(struct device *d, uint32_t type, uint32_t *mhz) {
    BEGIN(d);
    if (type != 1 || !d->sm_clock)
        return NOT_SUPPORTED;
    *mhz = load_at(d, now_ns())->mhz;
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(struct device *d, unsigned long long *reasons) {
    BEGIN(d);
    *reasons = load_at(d, now_ns())->reasons;
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(struct device *d, unsigned long long *millijoule) {
    BEGIN(d);
    if (!d->energy)
        return NOT_SUPPORTED;
    *millijoule = (unsigned long long)(integrate(d, now_ns()).microjoule / 1000);
    return SUCCESS;
}

int nvmlDeviceGetPowerUsage(struct device *d, uint32_t *milliwatt) {
    BEGIN(d);
    *milliwatt = load_at(d, now_ns())->milliwatt;
    return SUCCESS;
}

struct utilization {
    uint32_t gpu, memory;
};

int nvmlDeviceGetUtilizationRates(struct device *d, struct utilization *rates) {
    BEGIN(d);
    if (d->parent)
        return NOT_SUPPORTED;
    uint64_t now = now_ns(), period = 166666667;
    *rates = (struct utilization){graphics_ppm(d, now - period, now) / 10000, 0};
    return SUCCESS;
}

struct sample {
    unsigned long long timestamp_us;
    union { uint32_t number; double real; } value;
};

/* Ring buffers of the driver: GPU utilisation (type 1) and SM clock (type 5), at most 100 entries each. */
int nvmlDeviceGetSamples(struct device *d, uint32_t type, unsigned long long last_us, uint32_t *value_type,
                         uint32_t *count, struct sample *samples) {
    BEGIN(d);
    uint64_t period = type == 1 ? d->utilization_samples_ns : type == 5 ? d->clock_samples_ns : 0;
    if (!period || d->parent)
        return NOT_SUPPORTED;
    *value_type = 1;
    uint64_t newest = now_ns() - now_ns() % period;
    uint32_t found = 0;
    for (int back = 99; back >= 0; back--) {
        uint64_t at = newest - (uint64_t)back * period;
        if (at / 1000 <= last_us)
            continue;
        if (samples) {
            if (found == *count)
                break;
            samples[found].timestamp_us = at / 1000;
            samples[found].value.number = type == 5 ? load_at(d, at)->mhz : graphics_ppm(d, at - period, at) / 10000;
        }
        found++;
    }
    *count = found;
    return found ? SUCCESS : NOT_FOUND;
}
