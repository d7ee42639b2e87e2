/*@ ep_conv_f32_t */
/* weights: [out_c][kernel_h][kernel_w][in_c], the channels of one group; one filter per channel is
   in_c = 1. */
typedef struct {
    const float *weights, *bias;
    float low, high;
    int32_t batches, in_h, in_w, in_c, out_h, out_w, out_c, groups;
    int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} ep_conv_f32_t;

/*@ ep_window_f32 */
/* The sum of one filter on the window at row top and column left. */
static inline float ep_window_f32(const ep_conv_f32_t *p, const float *x, int32_t top, int32_t left,
                                  const float *w)
{
    float sum = 0.0F;
    for (int32_t i = 0; i < p->kernel_h; i++) {
        const int32_t row = top + i * p->dilation_h;
        for (int32_t j = 0; j < p->kernel_w; j++) {
            const int32_t column = left + j * p->dilation_w;
            if (row >= 0 && row < p->in_h && column >= 0 && column < p->in_w) {
                const float *from = x + (row * p->in_w + column) * p->in_c * p->groups;
                for (int32_t k = 0; k < p->in_c; k++) {
                    sum += from[k] * w[k];
                }
            }
            w += p->in_c;
        }
    }
    return sum;
}

/*@ ep_conv_f32 */
/* Convolution, in groups; also dense layers, a row for a pixel. */
void ep_conv_f32(const ep_conv_f32_t *p, const float *x, float *y)
{
    const int32_t pitch = p->in_c * p->groups;
    const int32_t share = p->out_c / p->groups;
    for (int32_t n = 0; n < p->batches * p->out_h; n++) {
        const float *image = x + n / p->out_h * p->in_h * p->in_w * pitch;
        const int32_t top = n % p->out_h * p->stride_h - p->pad_top;
        for (int32_t j = 0; j < p->out_w; j++) {
            const int32_t left = j * p->stride_w - p->pad_left;
            const float *w = p->weights;
            for (int32_t c = 0; c < p->out_c; c++) {
                const float *from = image + c / share * p->in_c;
                const float sum = p->bias[c] + ep_window_f32(p, from, top, left, w);
                *y++ = ep_clamp_f32(sum, p->low, p->high);
                w += p->kernel_h * p->kernel_w * p->in_c;
            }
        }
    }
}

/*@ ep_transposed_f32 */
/* Transposed convolution: what falls on each output element is gathered. */
void ep_transposed_f32(const ep_conv_f32_t *p, const float *x, float *y)
{
    const int32_t taps = p->kernel_h * p->kernel_w;
    for (int32_t n = 0; n < p->batches * p->out_h * p->out_w; n++) {
        const int32_t row = n / p->out_w % p->out_h + p->pad_top;
        const int32_t column = n % p->out_w + p->pad_left;
        const float *image = x + n / (p->out_w * p->out_h) * p->in_h * p->in_w * p->in_c;
        for (int32_t c = 0; c < p->out_c; c++) {
            float sum = p->bias[c];
            for (int32_t t = 0; t < taps; t++) {
                const int32_t i = row - t / p->kernel_w;
                const int32_t j = column - t % p->kernel_w;
                if (i >= 0 && i % p->stride_h == 0 && i / p->stride_h < p->in_h && j >= 0 &&
                    j % p->stride_w == 0 && j / p->stride_w < p->in_w) {
                    const float *from =
                        image + (i / p->stride_h * p->in_w + j / p->stride_w) * p->in_c;
                    const float *w = p->weights + (c * taps + t) * p->in_c;
                    for (int32_t k = 0; k < p->in_c; k++) {
                        sum += from[k] * w[k];
                    }
                }
            }
            *y++ = ep_clamp_f32(sum, p->low, p->high);
        }
    }
}

/*@ ep_matmul_f32_t */
/* Steps from one row and from one column to the next, in elements. */
typedef struct {
    int32_t rows, depth, columns;
    int32_t a_row, a_column, b_row, b_column;
} ep_matmul_f32_t;

/*@ ep_matmul_f32 */
/* The product of two matrices that are both computed. */
void ep_matmul_f32(const ep_matmul_f32_t *p, const float *a, const float *b, float *y)
{
    for (int32_t i = 0; i < p->rows; i++) {
        for (int32_t j = 0; j < p->columns; j++) {
            float sum = 0.0F;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += a[i * p->a_row + k * p->a_column] * b[k * p->b_row + j * p->b_column];
            }
            *y++ = sum;
        }
    }
}

/*@ ep_pool_f32 */
/* Mean of each window, or its maximum with `largest`, kept between low and high. */
void ep_pool_f32(const ep_pool_t *p, int32_t largest, float low, float high, const float *x,
                 float *y)
{
    for (int32_t n = 0; n < p->batches * p->out_h; n++) {
        const float *image = x + n / p->out_h * p->in_h * p->in_w * p->in_c;
        const int32_t top = n % p->out_h * p->stride_h - p->pad_top;
        const int32_t first = (top < 0) ? 0 : top;
        const int32_t last = ep_clamp(top + p->kernel_h, 0, p->in_h);
        for (int32_t j = 0; j < p->out_w; j++) {
            const int32_t left = j * p->stride_w - p->pad_left;
            const int32_t begin = (left < 0) ? 0 : left;
            const int32_t end = ep_clamp(left + p->kernel_w, 0, p->in_w);
            for (int32_t c = 0; c < p->in_c; c++) {
                float best = image[(first * p->in_w + begin) * p->in_c + c];
                float sum = 0.0F;
                for (int32_t k = first; k < last; k++) {
                    for (int32_t l = begin; l < end; l++) {
                        const float value = image[(k * p->in_w + l) * p->in_c + c];
                        sum += value;
                        best = (value > best) ? value : best;
                    }
                }
                sum /= (float)((last - first) * (end - begin));
                *y++ = ep_clamp_f32((largest != 0) ? best : sum, low, high);
            }
        }
    }
}

/*@ ep_reduce_f32 */
/* Sums (kind 0), means (1), maxima (2) or minima (3). */
void ep_reduce_f32(const ep_reduce_t *p, int32_t kind, const float *x, float *y)
{
    for (int32_t n = 0; n < p->kept[0] * p->kept[1] * p->kept[2]; n++) {
        const float *row = x + n / (p->kept[1] * p->kept[2]) * p->kept_step[0] +
                           n / p->kept[2] % p->kept[1] * p->kept_step[1] +
                           n % p->kept[2] * p->kept_step[2];
        float sum = 0.0F;
        float best = *row;
        for (int32_t l = 0; l < p->reduced[0]; l++) {
            for (int32_t m = 0; m < p->reduced[1]; m++) {
                const float value = row[l * p->reduced_step[0] + m * p->reduced_step[1]];
                sum += value;
                if ((kind == 2 && value > best) || (kind == 3 && value < best)) {
                    best = value;
                }
            }
        }
        sum = (kind == 1) ? sum / (float)(p->reduced[0] * p->reduced[1]) : sum;
        *y++ = (kind < 2) ? sum : best;
    }
}

/*@ ep_softmax_f32 */
/* Softmax of each row of x times beta. */
void ep_softmax_f32(int32_t rows, int32_t depth, float beta, const float *x, float *y)
{
    for (int32_t n = 0; n < rows; n++) {
        float largest = x[0];
        float sum = 0.0F;
        for (int32_t i = 1; i < depth; i++) {
            largest = (x[i] > largest) ? x[i] : largest;
        }
        for (int32_t i = 0; i < depth; i++) {
            y[i] = ep_exp_f32((x[i] - largest) * beta);
            sum += y[i];
        }
        for (int32_t i = 0; i < depth; i++) {
            y[i] /= sum;
        }
        x += depth;
        y += depth;
    }
}

/*@ ep_log_softmax_f32 */
/* Logarithm of the softmax of each row. */
void ep_log_softmax_f32(int32_t rows, int32_t depth, const float *x, float *y)
{
    for (int32_t n = 0; n < rows; n++) {
        float largest = x[0];
        float sum = 0.0F;
        for (int32_t i = 1; i < depth; i++) {
            largest = (x[i] > largest) ? x[i] : largest;
        }
        for (int32_t i = 0; i < depth; i++) {
            sum += ep_exp_f32(x[i] - largest);
        }
        sum = largest + ep_log_f32(sum);
        for (int32_t i = 0; i < depth; i++) {
            y[i] = x[i] - sum;
        }
        x += depth;
        y += depth;
    }
}

/*@ ep_l2norm_f32 */
/* Each row divided by its length. */
void ep_l2norm_f32(int32_t rows, int32_t depth, const float *x, float *y)
{
    for (int32_t n = 0; n < rows; n++) {
        float sum = 0.0F;
        for (int32_t i = 0; i < depth; i++) {
            sum += x[i] * x[i];
        }
        sum = ep_root_f32((sum > 1e-6F) ? sum : 1e-6F);
        for (int32_t i = 0; i < depth; i++) {
            y[i] = x[i] / sum;
        }
        x += depth;
        y += depth;
    }
}

/*@ ep_resize_f32_t */
/* For each output row (down) and column (along): the two input places, and the weight of the
   second in down_weight and along_weight. */
typedef struct {
    const int32_t *down, *along;
    const float *down_weight, *along_weight;
    int32_t batches, in_h, in_w, channels, out_h, out_w;
} ep_resize_f32_t;

/*@ ep_bilinear_f32 */
/* Linear between the nearest rows and columns. */
void ep_bilinear_f32(const ep_resize_f32_t *p, const float *x, float *y)
{
    for (int32_t n = 0; n < p->batches * p->out_h; n++) {
        const float *image = x + n / p->out_h * p->in_h * p->in_w * p->channels;
        const int32_t i = n % p->out_h;
        const float *top = image + p->down[2 * i] * p->in_w * p->channels;
        const float *bottom = image + p->down[2 * i + 1] * p->in_w * p->channels;
        const float d = p->down_weight[i];
        for (int32_t j = 0; j < p->out_w; j++) {
            const int32_t left = p->along[2 * j] * p->channels;
            const int32_t right = p->along[2 * j + 1] * p->channels;
            const float a = p->along_weight[j];
            for (int32_t c = 0; c < p->channels; c++) {
                const float first = top[left + c] * (1.0F - d) + bottom[left + c] * d;
                const float second = top[right + c] * (1.0F - d) + bottom[right + c] * d;
                *y++ = first * (1.0F - a) + second * a;
            }
        }
    }
}
