/* Reads a script, line by line: a word, its subjects, then key=value pairs. `_` in a name stands for a space. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "script.h"

struct machine machine;
static volatile int released;

uint64_t now_ns(void) {
    if (!machine.real_clock)
        return machine.now_ns;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct device *find(const char *id) {
    for (int i = machine.devices - 1; i >= 0; i--)
        if (!strcmp(machine.device[i].id, id))
            return &machine.device[i];
    return NULL;
}

static void copy(char *to, size_t size, const char *from) {
    snprintf(to, size, "%s", from);
    for (; *to; to++)
        if (*to == '_')
            *to = ' ';
}

static void device_pair(struct device *d, const char *key, const char *value) {
    if (!strcmp(key, "uuid")) snprintf(d->uuid, sizeof d->uuid, "%s", value);
    else if (!strcmp(key, "name")) copy(d->name, sizeof d->name, value);
    else if (!strcmp(key, "serial")) snprintf(d->serial, sizeof d->serial, "%s", value);
    else if (!strcmp(key, "cc")) sscanf(value, "%d.%d", &d->major, &d->minor);
    else if (!strcmp(key, "cores")) d->cores = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(key, "sms")) d->sms = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(key, "clock_max")) d->clock_max = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(key, "gi")) d->gi = atoi(value);
    else if (!strcmp(key, "ci")) d->ci = atoi(value);
    else if (!strcmp(key, "mig")) d->mig = atoi(value);
    else if (!strcmp(key, "gpm")) d->gpm = atoi(value);
    else if (!strcmp(key, "energy")) d->energy = atoi(value);
    else if (!strcmp(key, "sm_clock")) d->sm_clock = atoi(value);
    else if (!strcmp(key, "process_utilization")) d->process_utilization = atoi(value);
    else if (!strcmp(key, "garbage")) d->pid_list_garbage = (uint32_t)strtoul(value, NULL, 10);
    else if (!strcmp(key, "counters")) d->counters = *value == 'n' ? 0 : *value;
    else if (!strcmp(key, "apart")) d->apart = atoi(value);
    else if (!strcmp(key, "gated")) d->gated = atoi(value);
    else if (!strcmp(key, "refresh_ns")) d->refresh_ns = strtoull(value, NULL, 10);
    else if (!strcmp(key, "clock_samples_ns")) d->clock_samples_ns = strtoull(value, NULL, 10);
    else if (!strcmp(key, "utilization_samples_ns")) d->utilization_samples_ns = strtoull(value, NULL, 10);
    else if (!strcmp(key, "from")) d->from_ns = d->reset_ns = strtoull(value, NULL, 10);
    else if (!strcmp(key, "to")) d->to_ns = strtoull(value, NULL, 10);
}

static void load_pair(struct load *l, const char *key, const char *value) {
    static const char *const names[PIPES] = {"sm", "tensor", "hmma", "imma", "dmma", "dfma",
                                             "fp64", "fp32", "fp16", "int", "gr"};
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    for (int pipe = 0; pipe < PIPES; pipe++)
        if (!strcmp(key, names[pipe]))
            l->ppm[pipe] = number;
    if (!strcmp(key, "mhz")) l->mhz = number;
    else if (!strcmp(key, "mw")) l->milliwatt = number;
    else if (!strcmp(key, "reasons")) l->reasons = number;
}

/* `gpu 0 …` and `mig 0.1 …`; a MIG instance names its parent before the dot, its slot behind it. */
static struct device *new_device(const char *id) {
    struct device *d = &machine.device[machine.devices++];
    snprintf(d->id, sizeof d->id, "%s", id);
    d->gpm = d->energy = d->sm_clock = d->process_utilization = 1;
    d->ci = 0;
    d->to_ns = UINT64_MAX;
    d->index = atoi(id);
    const char *dot = strchr(id, '.');
    if (dot) {
        char parent[16];
        snprintf(parent, sizeof parent, "%.*s", (int)(dot - id), id);
        d->parent = find(parent);
        d->slot = atoi(dot + 1);
    }
    return d;
}

static void metric_pair(struct metric_rule *m, const char *key, const char *value) {
    if (!strcmp(key, "code")) m->code = atoi(value);
    else if (!strcmp(key, "nan")) m->not_a_number = atoi(value);
    else if (!strcmp(key, "offset")) m->offset = atof(value);
    else if (!strcmp(key, "from")) m->from_ns = strtoull(value, NULL, 10);
    else if (!strcmp(key, "to")) m->to_ns = strtoull(value, NULL, 10);
}

static void line(char *text) {
    char *save = NULL, *word = strtok_r(text, " \t", &save), *subject = word ? strtok_r(NULL, " \t", &save) : NULL;
    if (!word || *word == '#' || !subject)
        return;
    char *second = NULL;
    struct device *device = NULL;
    struct load *load = NULL;
    struct process *process = NULL;
    struct rule *rule = NULL;
    struct metric_rule *metric = NULL;
    if (!strcmp(word, "driver")) snprintf(machine.driver, sizeof machine.driver, "%s", subject);
    else if (!strcmp(word, "nvml")) snprintf(machine.nvml, sizeof machine.nvml, "%s", subject);
    else if (!strcmp(word, "clock")) machine.real_clock = !strcmp(subject, "real");
    else if (!strcmp(word, "gpu") || !strcmp(word, "mig")) device = new_device(subject);
    else if (!strcmp(word, "set")) device = find(subject);
    else if ((second = strtok_r(NULL, " \t", &save)) == NULL) return;
    else if (!strcmp(word, "load")) {
        struct device *on = find(subject);
        load = &on->load[on->loads++];
        load->at_ns = strtoull(second, NULL, 10);
    } else if (!strcmp(word, "reset")) {
        find(subject)->reset_ns = strtoull(second, NULL, 10);
    } else if (!strcmp(word, "process")) {
        process = &machine.process[machine.processes++];
        *process = (struct process){.device = find(subject), .pid = (uint32_t)strtoul(second, NULL, 10),
                                    .to_ns = UINT64_MAX};
    } else if (!strcmp(word, "fail") || !strcmp(word, "hang")) {
        rule = &machine.rule[machine.rules++];
        *rule = (struct rule){.device = find(subject), .hangs = *word == 'h', .to_ns = UINT64_MAX};
        snprintf(rule->function, sizeof rule->function, "%s", second);
    } else if (!strcmp(word, "metric")) {
        metric = &machine.metric_rule[machine.metric_rules++];
        *metric = (struct metric_rule){.device = find(subject), .id = (uint32_t)strtoul(second, NULL, 10),
                                       .to_ns = UINT64_MAX};
    }
    for (char *pair; (pair = strtok_r(NULL, " \t", &save));) {
        char *value = strchr(pair, '=');
        if (!value)
            continue;
        *value++ = 0;
        uint64_t number = strtoull(value, NULL, 10);
        if (device) device_pair(device, pair, value);
        else if (load) load_pair(load, pair, value);
        else if (metric) metric_pair(metric, pair, value);
        else if (process && !strcmp(pair, "sm")) process->sm_percent = (uint32_t)number;
        else if (process && !strcmp(pair, "mps")) process->mps = (int)number;
        else if (process && !strcmp(pair, "from")) process->from_ns = number;
        else if (process && !strcmp(pair, "to")) process->to_ns = number;
        else if (rule && !strcmp(pair, "code")) rule->code = (int)number;
        else if (rule && !strcmp(pair, "from")) rule->from_ns = number;
        else if (rule && !strcmp(pair, "to")) rule->to_ns = number;
    }
}

/* For tests in this process: continue the script, set the virtual clock, end every hang, start over. */
void scripted_run(const char *text) {
    char *lines = strdup(text), *save = NULL;
    for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
        line(l);
    free(lines);
}

void scripted_now(uint64_t at_ns) { machine.now_ns = at_ns; }

void scripted_release(void) { released = 1; }

void scripted_clear(void) {
    memset(&machine, 0, sizeof machine);
    strcpy(machine.driver, "595.45.04");
    strcpy(machine.nvml, "13.595.45.04");
    released = 0;
}

/* For other processes: FLOPLEDGER_TEST_NVML names a script file. */
__attribute__((constructor)) static void from_environment(void) {
    scripted_clear();
    const char *path = getenv("FLOPLEDGER_TEST_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file)
        return;
    char text[4096];
    while (fgets(text, sizeof text, file)) {
        text[strcspn(text, "\n")] = 0;
        line(text);
    }
    fclose(file);
}

static const struct rule *applies(const char *function, const struct device *device) {
    uint64_t now = now_ns();
    for (int i = 0; i < machine.rules; i++) {
        const struct rule *r = &machine.rule[i];
        if ((!r->device || r->device == device || (device && r->device == device->parent)) && r->from_ns <= now &&
            now < r->to_ns && (!strcmp(r->function, function) || !strcmp(r->function, "*")))
            return r;
    }
    return NULL;
}

int begin(const char *function, struct device *device) {
    if (!machine.initialised && strcmp(function, "nvmlInitWithFlags"))
        return UNINITIALIZED;
    const struct rule *rule = applies(function, device);
    while (rule && rule->hangs && !released)
        usleep(500);
    if (rule && !rule->hangs)
        return rule->code;
    if (device && (now_ns() < device->from_ns || now_ns() >= device->to_ns))
        return INVALID_ARGUMENT;
    return SUCCESS;
}
