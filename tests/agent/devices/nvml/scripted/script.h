/* A machine that exists only in a script: GPUs, MIG instances, what they do when, and which calls fail.
 *
 * Times are Unix nanoseconds. Loads are piecewise constant, so that every counter is an exact integral of the script
 * and a test can work out the same number on its own.
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include <stdint.h>

typedef unsigned __int128 wide;

enum { MAX_DEVICES = 256, MAX_LOADS = 512, MAX_PROCESSES = 512, MAX_RULES = 128, PPM = 1000000 };
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

/* What a load occupies, in parts per million of the elapsed cycles; GRAPHICS and POWER go by time. */
enum pipe { SM, TENSOR, HMMA, IMMA, DMMA, DFMA, FP64, FP32, FP16, INTEGER, GRAPHICS, PIPES };

struct load {
    uint64_t at_ns;
    uint32_t mhz, milliwatt, reasons;
    uint32_t ppm[PIPES];
};

struct device {
    char id[16], uuid[96], name[96], serial[32];
    struct device *parent;                /* of a MIG instance */
    int index, slot, gi, ci, major, minor, mig;
    uint32_t cores, sms, clock_max, pid_list_garbage;
    uint64_t from_ns, to_ns, reset_ns;    /* it exists in [from, to); its counters start at reset */
    int gpm, energy, sm_clock, process_utilization;
    char counters;                        /* 's' summed over SMs, 'p' per SM, 'd' per interval, 0 none */
    int apart;                            /* percentages and counters only in requests of their own */
    int gated;                            /* elapsed cycles stand still while no SM is active */
    uint64_t refresh_ns, clock_samples_ns, utilization_samples_ns;
    int loads;
    struct load load[MAX_LOADS];
};

struct process {
    struct device *device;
    uint32_t pid, sm_percent;
    int mps;                              /* a client of an MPS server */
    uint64_t from_ns, to_ns;
};

/* A call that fails or hangs on one device (NULL: on any) in [from, to). */
struct rule {
    struct device *device;
    char function[64];
    int code, hangs;
    uint64_t from_ns, to_ns;
};

/* A GPM metric that answers a code of its own, or not a number. */
struct metric_rule {
    struct device *device;
    uint32_t id;
    int code, not_a_number;
    double offset;                        /* added to the value: a counter that lies */
    uint64_t from_ns, to_ns;
};

struct machine {
    char driver[80], nvml[80];
    int real_clock, initialised, devices, processes, rules, metric_rules;
    uint64_t now_ns;
    struct device device[MAX_DEVICES];
    struct process process[MAX_PROCESSES];
    struct rule rule[MAX_RULES];
    struct metric_rule metric_rule[MAX_RULES];
};

extern struct machine machine;

/* Integrals up to a time, from the last reset: cycles × 1000 × PPM for pipes (mhz × ns × ppm). */
struct integral {
    uint64_t at_ns, from_ns;
    wide elapsed, active[PIPES], graphics_ns, microjoule;
};

uint64_t now_ns(void);
struct integral integrate(const struct device *device, uint64_t at_ns);
const struct load *load_at(const struct device *device, uint64_t at_ns);
/* Busy part of [from, to) in ppm. */
uint32_t graphics_ppm(const struct device *device, uint64_t from_ns, uint64_t to_ns);

/* The code that a call begins with: 0 to go on. May hang. */
int begin(const char *function, struct device *device);

#endif
