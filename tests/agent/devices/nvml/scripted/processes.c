/* Who is on a device, and MIG. */
#include <string.h>

#include "script.h"

#define BEGIN(device)                               \
    do {                                            \
        int code_ = begin(__func__, device);        \
        if (code_)                                  \
            return code_;                           \
    } while (0)

struct process_info {
    uint32_t pid;
    unsigned long long memory;
    uint32_t gi, ci;
};

static int runs_on(const struct process *p, const struct device *d) {
    return p->device == d && p->from_ns <= now_ns() && now_ns() < p->to_ns;
}

int nvmlDeviceGetComputeRunningProcesses_v3(struct device *d, uint32_t *count, struct process_info *infos) {
    BEGIN(d);
    uint32_t found = 0, room = *count;
    for (uint32_t i = 0; i < d->pid_list_garbage; i++, found++)
        if (infos && found < room) /* what a mismatched struct makes of a list */
            infos[found] = (struct process_info){i % 2 ? 0 : 0x7fff0000u + i, 0, 0, 0};
    for (int i = 0; i < machine.processes; i++) {
        if (!runs_on(&machine.process[i], d) || machine.process[i].mps)
            continue;
        if (infos && found < room)
            infos[found] = (struct process_info){machine.process[i].pid, 1u << 30, 0xffffffffu, 0xffffffffu};
        found++;
    }
    *count = found;
    return found == 0 || (infos && found <= room) ? SUCCESS : INSUFFICIENT_SIZE;
}

/* Clients of an MPS server. */
int nvmlDeviceGetMPSComputeRunningProcesses_v3(struct device *d, uint32_t *count, struct process_info *infos) {
    BEGIN(d);
    uint32_t found = 0, room = *count;
    for (int i = 0; i < machine.processes; i++) {
        if (!runs_on(&machine.process[i], d) || !machine.process[i].mps)
            continue;
        if (infos && found < room)
            infos[found] = (struct process_info){machine.process[i].pid, 1u << 30, 0xffffffffu, 0xffffffffu};
        found++;
    }
    *count = found;
    return found == 0 || (infos && found <= room) ? SUCCESS : INSUFFICIENT_SIZE;
}

struct process_sample {
    uint32_t pid;
    unsigned long long timestamp_us;
    uint32_t sm, memory, encoder, decoder;
};

int nvmlDeviceGetProcessUtilization(struct device *d, struct process_sample *samples, uint32_t *count,
                                    unsigned long long last_us) {
    BEGIN(d);
    if (d->parent || !d->process_utilization)
        return NOT_SUPPORTED;
    if (d->process_utilization == 2)
        return NOT_FOUND;
    uint32_t found = 0;
    for (int i = 0; i < machine.processes; i++) {
        const struct process *p = &machine.process[i];
        if (!runs_on(p, d) || !p->sm_percent || now_ns() / 1000 <= last_us)
            continue;
        if (samples && found < *count)
            samples[found] = (struct process_sample){p->pid, now_ns() / 1000, p->sm_percent, 0, 0, 0};
        found++;
    }
    if (!found)
        return NOT_FOUND;
    int enough = samples && found <= *count;
    *count = found;
    return enough ? SUCCESS : INSUFFICIENT_SIZE;
}

struct process_utilization {
    unsigned long long timestamp_us;
    uint32_t pid, sm, memory, encoder, decoder, jpeg, ofa;
};

struct processes_utilization {
    uint32_t version, count;
    unsigned long long last_us;
    struct process_utilization *samples;
};

/* The newer form; the only one that answers on some Blackwell boards. */
int nvmlDeviceGetProcessesUtilizationInfo(struct device *d, struct processes_utilization *info) {
    BEGIN(d);
    if (d->parent || d->process_utilization != 2)
        return NOT_SUPPORTED;
    uint32_t found = 0;
    for (int i = 0; i < machine.processes; i++) {
        const struct process *p = &machine.process[i];
        if (!runs_on(p, d) || !p->sm_percent || now_ns() / 1000 <= info->last_us)
            continue;
        if (info->samples && found < info->count)
            info->samples[found] = (struct process_utilization){now_ns() / 1000, p->pid, p->sm_percent, 0, 0, 0, 0, 0};
        found++;
    }
    int enough = info->samples && found <= info->count;
    info->count = found;
    return !found ? NOT_FOUND : enough ? SUCCESS : INSUFFICIENT_SIZE;
}

int nvmlDeviceGetMigMode(struct device *d, uint32_t *current, uint32_t *pending) {
    BEGIN(d);
    if (d->mig < 0)
        return NOT_SUPPORTED;
    *current = *pending = (uint32_t)d->mig;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(struct device *d, uint32_t *count) {
    BEGIN(d);
    *count = 7;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(struct device *parent, uint32_t slot, struct device **handle) {
    BEGIN(parent);
    for (int i = 0; i < machine.devices; i++) {
        struct device *d = &machine.device[i];
        if (d->parent == parent && (uint32_t)d->slot == slot && d->from_ns <= now_ns() && now_ns() < d->to_ns) {
            *handle = d;
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(struct device *d, uint32_t *id) {
    BEGIN(d);
    *id = (uint32_t)d->gi;
    return d->parent ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetComputeInstanceId(struct device *d, uint32_t *id) {
    BEGIN(d);
    *id = (uint32_t)d->ci;
    return d->parent && d->ci >= 0 ? SUCCESS : NOT_FOUND;
}

struct attributes {
    uint32_t multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gi_slices, ci_slices;
    unsigned long long memory_mb;
};

int nvmlDeviceGetAttributes_v2(struct device *d, struct attributes *attributes) {
    BEGIN(d);
    if (!d->parent)
        return NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->multiprocessors = d->sms;
    attributes->gi_slices = attributes->ci_slices = 1;
    return SUCCESS;
}
