/* What the parts of the emulated firmware share. */
#ifndef FIRMWARE_HARNESS_H
#define FIRMWARE_HARNESS_H

#include <stdint.h>

#define PAINT 0xA5A5A5A5u

extern volatile uint32_t firmware_current_node;

void firmware_main(void);
void firmware_reset_memory(void);
void firmware_paint(uint32_t *from, uint32_t bytes);
void firmware_write_file(const char *name, const void *data, uint32_t bytes);
__attribute__((noreturn)) void firmware_exit(void);

/* Generated for the model (interface.c). */
extern const uint32_t firmware_input_count, firmware_output_count, firmware_node_count;
extern const uint32_t firmware_input_bytes[], firmware_output_bytes[];
extern uint32_t firmware_node_ticks[];
void *firmware_input(uint32_t index);
const void *firmware_output(uint32_t index);
int firmware_run(void);
void firmware_profile(unsigned node);

#endif
