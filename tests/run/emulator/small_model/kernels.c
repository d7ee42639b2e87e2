#include "kernels.h"

void model_dense(const int8_t *x, const int8_t *w, int8_t *y, int32_t inputs, int32_t outputs,
                 int32_t shift)
{
    for (int32_t c = 0; c < outputs; c++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < inputs; k++) {
            sum += (int32_t)x[k] * (int32_t)*w++;
        }
        sum >>= shift;
        y[c] = (int8_t)(sum > 127 ? 127 : (sum < -128 ? -128 : sum));
    }
}

void model_relu(int8_t *x, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        x[i] = (int8_t)(x[i] < 0 ? 0 : x[i]);
    }
}
