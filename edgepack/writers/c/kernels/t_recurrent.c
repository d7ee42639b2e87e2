/*@ ep_gate_t */
/* Weights of the input [units][features] and of the hidden state [units][units]; zero points are
   folded into the biases. */
typedef struct {
    const int8_t *input, *hidden;
    const int32_t *input_bias, *hidden_bias;
    ep_scale_t input_scale, hidden_scale;
} ep_gate_t;

/*@ ep_lstm_t */
/* gates: input, forget, cell, output. Steps are in elements. cell_shift is below 0 where tanh's
   multiplier is 3 << -cell_shift. */
typedef struct {
    ep_gate_t gates[4];
    const uint16_t *sigmoid;
    ep_scale_t kept, added, shown;
    int32_t batches, steps, features, units;
    int32_t x_batch, x_step, y_batch, y_step;
    int32_t tanh_multiplier, tanh_shift, cell_limit, zero;
} ep_lstm_t;

/*@ ep_dot_s8 */
/* The sum of n products, and what it begins with. */
static inline int32_t ep_dot_s8(const int8_t *a, const int8_t *b, int32_t n, int32_t sum)
{
    for (int32_t i = 0; i < n; i++) {
        sum += (int32_t)a[i] * b[i];
    }
    return sum;
}

/*@ ep_gate_sum */
/* The sum of one unit of a gate, in units of 2^-12. */
static inline int32_t ep_gate_sum(const ep_lstm_t *p, int32_t gate, int32_t unit, const int8_t *x,
                                  const int8_t *h)
{
    const ep_gate_t *g = &p->gates[gate];
    const int32_t from_x = ep_scale(
        ep_dot_s8(g->input + unit * p->features, x, p->features, g->input_bias[unit]),
        g->input_scale);
    const int32_t from_h = ep_scale(
        ep_dot_s8(g->hidden + unit * p->units, h, p->units, g->hidden_bias[unit]),
        g->hidden_scale);
    const int32_t sum = ep_clamp(from_x, -32768, 32767) + ep_clamp(from_h, -32768, 32767);
    return ep_clamp(sum, -32768, 32767);
}

/*@ ep_lstm_step */
/* One step of one sequence: the hidden state h and the cell before, y and the cell after it. */
static inline void ep_lstm_step(const ep_lstm_t *p, const int8_t *x, const int8_t *h,
                                int16_t *cell, int8_t *y)
{
    for (int32_t u = 0; u < p->units; u++) {
        const int32_t enter = ep_sigmoid16(p->sigmoid, ep_gate_sum(p, 0, u, x, h), 3, 0);
        const int32_t forget = ep_sigmoid16(p->sigmoid, ep_gate_sum(p, 1, u, x, h), 3, 0);
        const int32_t candidate = ep_tanh16(p->sigmoid, ep_gate_sum(p, 2, u, x, h), 3, 0);
        const int32_t leave = ep_sigmoid16(p->sigmoid, ep_gate_sum(p, 3, u, x, h), 3, 0);
        const int32_t kept = ep_clamp(ep_scale(forget * cell[u], p->kept), -32768, 32767);
        const int32_t added = ep_clamp(ep_scale(enter * candidate, p->added), -32768, 32767);
        const int32_t sum = ep_clamp(kept + added, -32768, 32767);
        cell[u] = (int16_t)ep_clamp(sum, -p->cell_limit, p->cell_limit);
        const int32_t shown =
            ep_tanh16(p->sigmoid, cell[u], p->tanh_multiplier, p->tanh_shift);
        const int32_t value = ep_scale(shown * leave, p->shown) + p->zero;
        y[u] = (int8_t)ep_clamp(value, INT8_MIN, INT8_MAX);
    }
}

/*@ ep_lstm_s8 */
/* All steps of all sequences; hidden and cell hold what the last run left, and what this one does. */
void ep_lstm_s8(const ep_lstm_t *p, const int8_t *x, int8_t *hidden, int16_t *cell, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        const int8_t *h = hidden;
        for (int32_t t = 0; t < p->steps; t++) {
            int8_t *out = y + n * p->y_batch + t * p->y_step;
            ep_lstm_step(p, x + n * p->x_batch + t * p->x_step, h, cell, out);
            h = out;
        }
        memcpy(hidden, h, (size_t)p->units);
        hidden += p->units;
        cell += p->units;
    }
}

/*@ ep_svdf_t */
/* features: [filters][in]; times: [filters][memory] of the state's type. The state's zero point is
   state_zero. */
typedef struct {
    const int8_t *features;
    const int32_t *feature_bias, *bias;
    const void *times;
    ep_scale_t feature_scale, scale;
    int32_t batches, in, filters, memory, rank, state_zero, low, high, zero;
} ep_svdf_t;

/*@ ep_svdf_s8 */
/* A dense layer over the latest steps of a stream; the state is [batch][filters][memory]. */
void ep_svdf_s8(const ep_svdf_t *p, const int8_t *x, int8_t *state, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        const int8_t *times = (const int8_t *)p->times;
        int32_t sum = 0;
        for (int32_t f = 0; f < p->filters; f++) {
            const int32_t newest = ep_scale(
                ep_dot_s8(p->features + f * p->in, x, p->in, p->feature_bias[f]), p->feature_scale);
            sum = (f % p->rank == 0) ? p->bias[f / p->rank] : sum;
            for (int32_t m = 0; m < p->memory; m++) {
                state[m] = (m + 1 < p->memory)
                               ? state[m + 1]
                               : (int8_t)(ep_clamp(newest, p->low, p->high) + p->state_zero);
                sum += (state[m] - p->state_zero) * times[m];
            }
            state += p->memory;
            times += p->memory;
            if (f % p->rank == p->rank - 1) {
                *y++ = (int8_t)ep_clamp(ep_scale(sum, p->scale) + p->zero, INT8_MIN, INT8_MAX);
            }
        }
        x += p->in;
    }
}

/*@ ep_svdf_s16 */
/* As ep_svdf_s8, with a state of 16 bits. */
void ep_svdf_s16(const ep_svdf_t *p, const int8_t *x, int16_t *state, int8_t *y)
{
    for (int32_t n = 0; n < p->batches; n++) {
        const int16_t *times = (const int16_t *)p->times;
        int32_t sum = 0;
        for (int32_t f = 0; f < p->filters; f++) {
            const int32_t newest = ep_scale(
                ep_dot_s8(p->features + f * p->in, x, p->in, p->feature_bias[f]), p->feature_scale);
            sum = (f % p->rank == 0) ? p->bias[f / p->rank] : sum;
            for (int32_t m = 0; m < p->memory; m++) {
                state[m] = (m + 1 < p->memory)
                               ? state[m + 1]
                               : (int16_t)(ep_clamp(newest, p->low, p->high) + p->state_zero);
                sum += (state[m] - p->state_zero) * times[m];
            }
            state += p->memory;
            times += p->memory;
            if (f % p->rank == p->rank - 1) {
                *y++ = (int8_t)ep_clamp(ep_scale(sum, p->scale) + p->zero, INT8_MIN, INT8_MAX);
            }
        }
        x += p->in;
    }
}
