/* Start-up of the emulated firmware: vectors, .data, .bss, floating point, faults.
 *
 * The linker script places everything here in sections of its own, so that the harness is not
 * counted as the model's code or memory.
 */
#include "harness.h"

extern uint32_t firmware_stack_top[];
extern uint32_t firmware_data_load[], firmware_data_start[], firmware_data_end[];
extern uint32_t firmware_bss_start[], firmware_bss_end[];

#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define CCR (*(volatile uint32_t *)0xE000ED14u)
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define FAULT_ADDRESS (*(volatile uint32_t *)0xE000ED38u)
#define DIVISION_TRAP (1u << 4)

__attribute__((noreturn)) void firmware_reset(void);
__attribute__((naked)) void firmware_fault(void);
__attribute__((noreturn)) void firmware_fault_report(const uint32_t *frame, const uint32_t *rest);

__attribute__((used, section(".firmware_vectors"))) void *const firmware_vectors[16] = {
    firmware_stack_top, (void *)firmware_reset, (void *)firmware_fault, (void *)firmware_fault,
    (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault,
    (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault,
    (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault, (void *)firmware_fault,
};

/* Memory as the model expects it at power-on; volatile, lest this become a call of memset. */
void firmware_reset_memory(void)
{
    const uint32_t *from = firmware_data_load;
    for (volatile uint32_t *to = firmware_data_start; to < firmware_data_end;) {
        *to++ = *from++;
    }
    for (volatile uint32_t *to = firmware_bss_start; to < firmware_bss_end;) {
        *to++ = 0u;
    }
}

void firmware_paint(uint32_t *from, uint32_t bytes)
{
    for (volatile uint8_t *to = (uint8_t *)from; bytes != 0u; bytes--) {
        *to++ = (uint8_t)PAINT;
    }
}

void firmware_reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\n isb" ::: "memory");
#endif
#if __ARM_ARCH >= 7
    CCR |= DIVISION_TRAP;
#endif
    firmware_reset_memory();
    firmware_main();
    firmware_exit();
}

/* r0: the frame that the exception stacked; r1: r4 to r11, pushed below it. */
void firmware_fault(void)
{
    __asm volatile("mov r0, sp\n"
                   "push {r4-r7}\n"
                   "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n"
                   "push {r4-r7}\n"
                   "mov r1, sp\n"
                   "ldr r2, =firmware_fault_report\n"
                   "bx r2\n"
                   ".ltorg\n");
}

void firmware_fault_report(const uint32_t *frame, const uint32_t *rest)
{
    uint32_t report[19];
    for (unsigned i = 0; i < 4u; i++) {
        report[i] = frame[i];         /* r0-r3 */
        report[4u + i] = rest[4u + i]; /* r4-r7 */
        report[8u + i] = rest[i];     /* r8-r11 */
    }
    report[12] = frame[4]; /* r12 */
    report[13] = (uint32_t)frame + 32u;
    report[14] = frame[5]; /* lr */
    report[15] = frame[6]; /* pc */
    report[16] = CFSR;
    report[17] = FAULT_ADDRESS;
    report[18] = firmware_current_node;
    firmware_write_file("fault.bin", report, sizeof report);
    firmware_exit();
}
