#ifndef MODEL_H
#define MODEL_H

#define MODEL_ARENA_BYTES 32U
#define MODEL_ARENA_ALIGNMENT 16U

#define MODEL_INPUT_COUNT 1U
#define MODEL_INPUT0_BYTES 16U
#define MODEL_INPUT0_SCALE 0.5f
#define MODEL_INPUT0_ZERO_POINT (0)
#define MODEL_INPUT0_SHAPE {1, 16}

#define MODEL_OUTPUT_COUNT 1U
#define MODEL_OUTPUT0_BYTES 4U
#define MODEL_OUTPUT0_SCALE 0.25f
#define MODEL_OUTPUT0_ZERO_POINT (0)
#define MODEL_OUTPUT0_SHAPE {1, 4}

void *model_input(unsigned index);
int model_run(void);
const void *model_output(unsigned index);

#endif
