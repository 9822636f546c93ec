/* Exact integrals of a device's script. */
#include "script.h"

const struct load *load_at(const struct device *device, uint64_t at_ns) {
    static const struct load idle = {.mhz = 345, .milliwatt = 70000, .reasons = 1};
    const struct load *found = &idle;
    for (int i = 0; i < device->loads && device->load[i].at_ns <= at_ns; i++)
        found = &device->load[i];
    return found;
}

static void add(struct integral *sum, const struct device *device, const struct load *load, uint64_t ns) {
    wide cycles = (wide)load->mhz * ns;
    if (!device->gated || load->ppm[SM])
        sum->elapsed += cycles * PPM;
    for (int pipe = 0; pipe < PIPES; pipe++)
        sum->active[pipe] += cycles * load->ppm[pipe];
    sum->graphics_ns += (wide)ns * load->ppm[GRAPHICS];
    sum->microjoule += (wide)ns * load->milliwatt / 1000000;
}

struct integral integrate(const struct device *device, uint64_t at_ns) {
    /* A reset that is still to come changes nothing yet. */
    uint64_t start = device->reset_ns <= at_ns ? device->reset_ns : device->from_ns;
    struct integral sum = {.at_ns = at_ns, .from_ns = start};
    uint64_t t = start;
    for (int i = 0; i < device->loads && t < at_ns; i++) {
        uint64_t next = device->load[i].at_ns < at_ns ? device->load[i].at_ns : at_ns;
        if (next > t) {
            add(&sum, device, load_at(device, t), next - t);
            t = next;
        }
    }
    if (t < at_ns)
        add(&sum, device, load_at(device, t), at_ns - t);
    return sum;
}

uint32_t graphics_ppm(const struct device *device, uint64_t from_ns, uint64_t to_ns) {
    if (to_ns <= from_ns)
        return 0;
    struct integral a = integrate(device, from_ns), b = integrate(device, to_ns);
    return (uint32_t)((b.graphics_ns - a.graphics_ns) / (to_ns - from_ns));
}
