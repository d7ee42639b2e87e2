#ifndef KERNELS_H
#define KERNELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* y[c] = clamp(sum x[k] w[c][k] >> shift) */
void model_dense(const int8_t *x, const int8_t *w, int8_t *y, int32_t inputs, int32_t outputs,
                 int32_t shift);

void model_relu(int8_t *x, int32_t count);

#endif
