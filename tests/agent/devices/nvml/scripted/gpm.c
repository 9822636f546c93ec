/* GPM: two samples of counters, differenced; and the cycle counters since reset (ids 248 to 260). */
#include <math.h>
#include <stdlib.h>

#include "script.h"

struct sample {
    struct device *device;
    struct integral at;
};

struct metric {
    uint32_t id;
    int code;
    double value;
    const char *short_name, *long_name, *unit;
};
_Static_assert(sizeof(struct metric) == 40, "nvmlGpmMetric_t");

/* The real array is longer in every release: only `count` entries are ever looked at. */
struct metrics_get {
    uint32_t version, count;
    struct sample *older, *newer;
    struct metric metric[];
};

struct support {
    uint32_t version, is_supported;
};

int nvmlGpmQueryDeviceSupport(struct device *device, struct support *support) {
    int code = begin("nvmlGpmQueryDeviceSupport", device);
    if (code)
        return code;
    support->is_supported = (uint32_t)device->gpm;
    return SUCCESS;
}

int nvmlGpmSampleAlloc(struct sample **sample) {
    int code = begin("nvmlGpmSampleAlloc", NULL);
    if (code)
        return code;
    *sample = calloc(1, sizeof **sample);
    return SUCCESS;
}

int nvmlGpmSampleFree(struct sample *sample) {
    free(sample);
    return SUCCESS;
}

static int take(const char *function, struct device *device, struct sample *sample) {
    int code = begin(function, device);
    if (code)
        return code;
    if (!device->gpm)
        return NOT_SUPPORTED;
    uint64_t at_ns = now_ns();
    if (device->refresh_ns)
        at_ns -= at_ns % device->refresh_ns;
    *sample = (struct sample){device, integrate(device, at_ns)};
    return SUCCESS;
}

int nvmlGpmSampleGet(struct device *device, struct sample *sample) { return take("nvmlGpmSampleGet", device, sample); }

int nvmlGpmMigSampleGet(struct device *parent, uint32_t gi, struct sample *sample) {
    for (int i = 0; i < machine.devices; i++) {
        struct device *d = &machine.device[i];
        if (d->parent == parent && (uint32_t)d->gi == gi && d->from_ns <= now_ns() && now_ns() < d->to_ns)
            return take("nvmlGpmMigSampleGet", d, sample);
    }
    return INVALID_ARGUMENT;
}

static double utilisation(const struct sample *older, const struct sample *newer, int pipe) {
    wide elapsed = newer->at.elapsed - older->at.elapsed;
    if (newer->at.at_ns < older->at.at_ns + 100000000u && !newer->device->refresh_ns)
        return NAN; /* under the internal refresh nothing valid comes out */
    if (pipe == GRAPHICS)
        return (double)(newer->at.graphics_ns - older->at.graphics_ns) /
               (double)(newer->at.at_ns - older->at.at_ns) / PPM * 100.0;
    return elapsed ? (double)(newer->at.active[pipe] - older->at.active[pipe]) / (double)elapsed * 100.0 : 0.0;
}

static int counter(const struct sample *older, const struct sample *newer, wide old, wide new, double *value) {
    const struct device *device = newer->device;
    if (!device->counters)
        return INVALID_ARGUMENT;
    (void)older;
    wide cycles = device->counters == 'd' ? new - old : new;
    *value = (double)(uint64_t)(cycles * (device->counters == 's' ? device->sms : 1) / PPM / 1000);
    return SUCCESS;
}

static int fill(const struct sample *older, const struct sample *newer, struct metric *metric) {
    static const int utilisations[] = {-1, GRAPHICS, SM, SM, INTEGER, TENSOR, DFMA, HMMA, DMMA, IMMA, -1, FP64, FP32, FP16};
    static const int counters[] = {-1, SM, TENSOR, DMMA, HMMA, IMMA, DFMA, -1, -1, INTEGER, FP64, FP32, FP16};
    if (metric->id >= 1 && metric->id <= 13 && utilisations[metric->id] >= 0) {
        metric->value = utilisation(older, newer, utilisations[metric->id]);
        return SUCCESS;
    }
    if (metric->id == 248)
        return counter(older, newer, older->at.elapsed, newer->at.elapsed, &metric->value);
    if (metric->id > 248 && metric->id <= 260 && counters[metric->id - 248] >= 0) {
        int pipe = counters[metric->id - 248];
        return counter(older, newer, older->at.active[pipe], newer->at.active[pipe], &metric->value);
    }
    return NOT_SUPPORTED;
}

int nvmlGpmMetricsGet(struct metrics_get *get) {
    if (get->version != 1 || !get->older || !get->newer)
        return INVALID_ARGUMENT;
    struct sample *older = get->older, *newer = get->newer;
    int code = begin("nvmlGpmMetricsGet", newer->device);
    if (code)
        return code;
    if (older->device != newer->device || older->at.from_ns != newer->at.from_ns)
        return INVALID_ARGUMENT;
    for (uint32_t i = 1; newer->device->apart && i < get->count; i++)
        if ((get->metric[i].id < 248) != (get->metric[0].id < 248))
            return INVALID_ARGUMENT; /* a driver that does not mix percentages and counters */
    for (uint32_t i = 0; i < get->count; i++) {
        struct metric *metric = &get->metric[i];
        metric->code = fill(older, newer, metric);
        if (metric->code == INVALID_ARGUMENT)
            return INVALID_ARGUMENT; /* a driver that does not know the id */
        for (int r = 0; r < machine.metric_rules; r++) {
            const struct metric_rule *rule = &machine.metric_rule[r];
            if (rule->device != newer->device || rule->id != metric->id || newer->at.at_ns < rule->from_ns ||
                newer->at.at_ns >= rule->to_ns)
                continue;
            metric->code = rule->code;
            metric->value = rule->not_a_number ? NAN : metric->value + rule->offset;
        }
    }
    return SUCCESS;
}
