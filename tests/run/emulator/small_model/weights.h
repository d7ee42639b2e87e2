#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "kernels.h"

extern const int8_t model_dense_weights[64];

#endif
