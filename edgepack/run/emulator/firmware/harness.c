/* The main program on QEMU's boards: samples come from in.bin and results go to out.bin.
 *
 * in.bin is a header of four words (samples, whether to paint, the arena's address and bytes) and
 * then every sample's inputs. out.bin gets the cost of measuring (ticks of an empty run and of an
 * empty node), then for every sample its status, ticks, hundredths of a second, bytes of stack,
 * ticks of each node, and outputs; and at last the painted arena as it was left.
 *
 * Virtual time is the number of instructions (QEMU's -icount).
 */
#include "harness.h"

#define COUNTER (*(volatile uint32_t *)(FIRMWARE_FPGAIO + 0x18u))
#define HUNDREDTHS (*(volatile uint32_t *)(FIRMWARE_FPGAIO + 0x14u))

enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x18 };

#define UNPAINTED 32u /* bytes below the stack pointer that painting itself may use */

extern uint32_t firmware_stack_base[];

volatile uint32_t firmware_current_node;
static uint32_t node_started;
static uint32_t stack_at_call;
static uint32_t header[4];

static uint32_t host_call(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = arguments;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t open_file(const char *name, uint32_t mode)
{
    uint32_t length = 0;
    while (name[length] != '\0') {
        length++;
    }
    const uint32_t arguments[3] = {(uint32_t)name, mode, length};
    return host_call(SYS_OPEN, arguments);
}

static void write_to(uint32_t file, const void *data, uint32_t bytes)
{
    const uint32_t arguments[3] = {file, (uint32_t)data, bytes};
    (void)host_call(SYS_WRITE, arguments);
}

static uint32_t missing_from(uint32_t file, void *data, uint32_t bytes)
{
    const uint32_t arguments[3] = {file, (uint32_t)data, bytes};
    return host_call(SYS_READ, arguments);
}

void firmware_write_file(const char *name, const void *data, uint32_t bytes)
{
    const uint32_t file = open_file(name, 5u); /* "wb" */
    write_to(file, data, bytes);
    (void)host_call(SYS_CLOSE, &file);
}

void firmware_exit(void)
{
    (void)host_call(SYS_EXIT, (const void *)0x20026); /* the application ended by itself */
    for (;;) {
    }
}

/* Called before each node. Time spent in here up to the second reading belongs to the node before
 * and is known from two calls in a row. */
__attribute__((noinline)) void firmware_profile(unsigned node)
{
    firmware_node_ticks[firmware_current_node] += COUNTER - node_started;
    firmware_current_node = node;
    node_started = COUNTER;
}

__attribute__((noinline)) static int empty_run(void)
{
    __asm volatile("");
    return 0;
}

__attribute__((noinline)) static void empty_node(void)
{
    firmware_profile(0u);
    firmware_profile(1u);
    __asm volatile(""); /* lest the call be a jump */
}

/* One call of `run` between two readings; the same instructions whatever `run` is. */
__attribute__((noinline)) static void timed(int (*run)(void), uint32_t result[3])
{
    const uint32_t hundredths = HUNDREDTHS;
    __asm volatile("mov %0, sp" : "=r"(stack_at_call));
    const uint32_t start = COUNTER;
    const uint32_t status = (uint32_t)run();
    const uint32_t end = COUNTER;
    result[0] = status;
    result[1] = end - start;
    result[2] = HUNDREDTHS - hundredths;
}

static void clear_nodes(void)
{
    for (uint32_t i = 0; i <= firmware_node_count; i++) {
        firmware_node_ticks[i] = 0;
    }
    firmware_current_node = firmware_node_count; /* before the first node */
}

static void calibrate(uint32_t file)
{
    uint32_t result[3];
    timed(empty_run, result);
    clear_nodes();
    empty_node();
    result[0] = result[1];
    result[1] = firmware_node_ticks[0];
    write_to(file, result, 8u);
}

static void run_sample(uint32_t file)
{
    uint32_t result[4];
    const volatile uint32_t *mark = firmware_stack_base;
    if (header[1] != 0u) {
        uint32_t stack;
        __asm volatile("mov %0, sp" : "=r"(stack));
        firmware_paint(firmware_stack_base, stack - (uint32_t)firmware_stack_base - UNPAINTED);
    }
    timed(firmware_run, result);
    while (*mark == PAINT) {
        mark++;
    }
    result[3] = stack_at_call - (uint32_t)mark;
    write_to(file, result, sizeof result);
    write_to(file, firmware_node_ticks, 4u * firmware_node_count);
    for (uint32_t i = 0; i < firmware_output_count; i++) {
        write_to(file, firmware_output(i), firmware_output_bytes[i]);
    }
}

void firmware_main(void)
{
    const uint32_t in = open_file("in.bin", 1u);   /* "rb" */
    const uint32_t out = open_file("out.bin", 5u); /* "wb" */
    (void)missing_from(in, header, sizeof header);
    calibrate(out);
    for (uint32_t sample = 0; sample < header[0]; sample++) {
        firmware_reset_memory();
        if (header[1] != 0u) {
            firmware_paint((uint32_t *)header[2], header[3]);
        }
        for (uint32_t i = 0; i < firmware_input_count; i++) {
            (void)missing_from(in, firmware_input(i), firmware_input_bytes[i]);
        }
        clear_nodes();
        node_started = COUNTER;
        run_sample(out);
    }
    if (header[1] != 0u) {
        write_to(out, (const void *)header[2], header[3]);
    }
    (void)host_call(SYS_CLOSE, &out);
}
