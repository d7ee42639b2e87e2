/* Runs @prefix@ once on zeros and prints its outputs, byte by byte. */
#include <stdio.h>
#include <string.h>

#include "@prefix@.h"

int main(void)
{
    const size_t input_bytes[] = {@input_bytes@};
    const size_t output_bytes[] = {@output_bytes@};
    unsigned i;

    for (i = 0; i < @UPPER@_INPUT_COUNT; i++) {
        memset(@prefix@_input(i), 0, input_bytes[i]);
    }
    if (@prefix@_run() != @UPPER@_OK) {
        return 1;
    }
    for (i = 0; i < @UPPER@_OUTPUT_COUNT; i++) {
        const unsigned char *bytes = (const unsigned char *)@prefix@_output(i);
        size_t k;
        for (k = 0; k < output_bytes[i]; k++) {
            printf("%02x%s", bytes[k], (k + 1 < output_bytes[i]) ? " " : "\n");
        }
    }
    return 0;
}
