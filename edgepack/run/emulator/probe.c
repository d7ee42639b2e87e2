/* Hooks of the Unicorn runner, compiled for the host: called from Python they would take a hundred
 * times as long as the code that they watch.
 *
 * Kept in step with class _State of unicorn_machine.py.
 */
#include <stdint.h>

enum { RUNNING = 0, LIMIT = 1, MISALIGNED = 2, DIVIDED = 3 };
enum { REG_PC = 11, REG_R0 = 66 }; /* UC_ARM_REG_PC, UC_ARM_REG_R0; R1 to R12 follow */

typedef struct {
    uint64_t instructions, limit;
    uint64_t code_base, code_bytes;
    const uint32_t *starts;  /* instructions that start before each halfword of the code */
    const uint8_t *code;
    uint64_t profile, profile_end; /* the function called before each node */
    uint64_t *nodes;         /* instructions by node; the last entry is outside of all */
    uint64_t *calls;         /* how often each was left by a call of that function */
    uint32_t node_count, node;
    uint32_t reason, strict;
    uint64_t address;        /* that was misaligned */
    uint64_t unaligned;      /* accesses that the core splits in two */
    int (*reg_read)(void *uc, int regid, void *value);
    int (*stop)(void *uc);
} state;

typedef struct {
    state *probe;
    uint64_t divisor; /* number of the register */
} division;

static void end(void *uc, state *s, uint32_t reason)
{
    s->reason = reason;
    s->stop(uc);
}

void probe_block(void *uc, uint64_t address, uint32_t size, void *data)
{
    state *s = data;
    const uint64_t at = address - s->code_base;
    if (at + size > s->code_bytes) {
        return;
    }
    const uint64_t count = s->starts[(at + size) / 2] - s->starts[at / 2];
    if (address >= s->profile && address < s->profile_end) {
        uint32_t node = 0;
        s->reg_read(uc, REG_R0, &node);
        if (address == s->profile && node <= s->node_count) { /* node_count ends the last */
            s->calls[s->node]++;
            s->node = node;
        }
        return; /* it is not the model's */
    }
    s->instructions += count;
    s->nodes[s->node] += count;
    if (s->instructions > s->limit) {
        end(uc, s, LIMIT);
    }
}

/* Whether the instruction at `pc` needs aligned words: LDM, STM, PUSH, POP, LDRD, STRD, VLDR, VSTR. */
static int needs_alignment(const state *s, uint64_t pc)
{
    const uint64_t at = pc - s->code_base;
    if (at + 4 > s->code_bytes) {
        return 0;
    }
    const uint32_t first = s->code[at] | (uint32_t)s->code[at + 1] << 8;
    if (first >> 11 < 0x1D) { /* 16 bits: LDM and STM, PUSH and POP */
        return first >> 12 == 0xC || (first & 0xF600) == 0xB400;
    }
    return (first & 0xFE00) == 0xE800 || (first & 0xEE00) == 0xEC00;
}

void probe_access(void *uc, int type, uint64_t address, int size, int64_t value, void *data)
{
    state *s = data;
    const uint64_t word = size < 4 ? (uint64_t)size : 4;
    (void)type;
    (void)value;
    if ((address & (word - 1)) == 0) {
        return;
    }
    uint32_t pc = 0;
    s->reg_read(uc, REG_PC, &pc);
    s->unaligned++;
    if (s->strict || needs_alignment(s, pc)) {
        s->address = address;
        end(uc, s, MISALIGNED);
    }
}

void probe_division(void *uc, uint64_t address, uint32_t size, void *data)
{
    const division *d = data;
    uint32_t divisor = 1;
    (void)address;
    (void)size;
    d->probe->reg_read(uc, REG_R0 + (int)d->divisor, &divisor);
    if (divisor == 0) {
        end(uc, d->probe, DIVIDED);
    }
}
