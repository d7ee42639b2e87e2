#include "model.h"
#include "kernels.h"
#include "weights.h"

uint8_t __attribute__((aligned(16))) model_arena[MODEL_ARENA_BYTES];

#ifdef MODEL_PROFILE
void model_profile(unsigned node);
#define MODEL_NODE(index) model_profile(index)
#else
#define MODEL_NODE(index) ((void)0)
#endif

int model_run(void)
{
    /* 0: Dense fc -> int8[1, 4] */
    MODEL_NODE(0U);
    model_dense((const int8_t *)&model_arena[0], model_dense_weights, (int8_t *)&model_arena[16],
                16, 4, 4);
    /* 1: Relu fc/relu -> int8[1, 4] */
    MODEL_NODE(1U);
    model_relu((int8_t *)&model_arena[16], 4);
    MODEL_NODE(2U);
    return 0;
}

void *model_input(unsigned index)
{
    return index == 0U ? &model_arena[0] : NULL;
}

const void *model_output(unsigned index)
{
    return index == 0U ? &model_arena[16] : NULL;
}
