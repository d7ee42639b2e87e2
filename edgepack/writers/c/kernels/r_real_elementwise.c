/*@ ep_relu_f32_each */
/* X[i] kept between a and b. */
void ep_relu_f32_each(const float *x, float a, float b, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32(x[i], a, b);
    }
}

/*@ ep_leaky_f32_each */
/* X, or a * x where negative. */
void ep_leaky_f32_each(const float *x, float a, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (x[i] < 0.0F) ? a * x[i] : x[i];
    }
}

/*@ ep_abs_f32_each */
/* Absolute value. */
void ep_abs_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (x[i] < 0.0F) ? -x[i] : x[i];
    }
}

/*@ ep_neg_f32_each */
/* -x. */
void ep_neg_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = -x[i];
    }
}

/*@ ep_square_f32_each */
/* X * x. */
void ep_square_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = x[i] * x[i];
    }
}

/*@ ep_sqrt_f32_each */
/* Square root. */
void ep_sqrt_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_root_f32(x[i]);
    }
}

/*@ ep_rsqrt_f32_each */
/* 1 / square root. */
void ep_rsqrt_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = 1.0F / ep_root_f32(x[i]);
    }
}

/*@ ep_exp_f32_each */
/* E to the x. */
void ep_exp_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_exp_f32(x[i]);
    }
}

/*@ ep_log_f32_each */
/* Natural logarithm. */
void ep_log_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_log_f32(x[i]);
    }
}

/*@ ep_sigmoid_f32_each */
/* 1 / (1 + exp(-x)). */
void ep_sigmoid_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_sigmoid_f32(x[i]);
    }
}

/*@ ep_tanh_f32_each */
/* Hyperbolic tangent. */
void ep_tanh_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_tanh_f32(x[i]);
    }
}

/*@ ep_hardswish_f32_each */
/* X * relu6(x + 3) / 6. */
void ep_hardswish_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = x[i] * ep_clamp_f32(x[i] + 3.0F, 0.0F, 6.0F) / 6.0F;
    }
}

/*@ ep_elu_f32_each */
/* X, or exp(x) - 1 where negative. */
void ep_elu_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = (x[i] < 0.0F) ? ep_exp_f32(x[i]) - 1.0F : x[i];
    }
}

/*@ ep_gelu_f32_each */
/* X * Phi(x). */
void ep_gelu_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = 0.5F * x[i] * (1.0F + ep_erf_f32(x[i] * 0.707106781F));
    }
}

/*@ ep_gelu_tanh_f32_each */
/* X * Phi(x), approximately. */
void ep_gelu_tanh_f32_each(const float *x, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = 0.5F * x[i] * 
               (1.0F + ep_tanh_f32(0.797884561F * (x[i] + 0.044715F * x[i] * x[i] * x[i])));
    }
}

/*@ ep_add_f32 */
/* Sums of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_add_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32(*a + *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_sub_f32 */
/* Differences of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_sub_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32(*a - *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_mul_f32 */
/* Products of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_mul_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32(*a * *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_div_f32 */
/* Quotients of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_div_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32(*a / *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_maximum_f32 */
/* The larger of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_maximum_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                    int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32((*a > *b) ? *a : *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_minimum_f32 */
/* The smaller of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_minimum_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                    int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32((*a < *b) ? *a : *b, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_prelu_f32 */
/* a, or a * b where a is negative, of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_prelu_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                  int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32((*a < 0.0F) ? *a * *b : *a, low, high);
        a += a_step;
        b += b_step;
    }
}

/*@ ep_squared_difference_f32 */
/* Squares of differences of pairs, kept between low and high; a step of 0 repeats one element. */
void ep_squared_difference_f32(float low, float high, const float *a, int32_t a_step, const float *b,
                               int32_t b_step, float *y, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        y[i] = ep_clamp_f32((*a - *b) * (*a - *b), low, high);
        a += a_step;
        b += b_step;
    }
}
