// Tokens of a batch of texts through the network of network.py, on a CPU: a whole step in one parallel region, since at
// such sizes calling a kernel costs more than running it. Products are rounded where the training forward under
// autocast rounds them. A row's numbers do not depend on the other rows, nor on the number of threads.
#include "vectors.h"

// Places of a cache that are fetched before they are read: a fifth faster on a large batch.
constexpr int AHEAD = 24;

// The numbers of a call, in their order.
struct Sizes {
    int64_t hidden, heads, kv_heads, head_dim, intermediate, vocabulary, layers, context;
    int64_t rows, slots, room, wanted;
};

// The tensors of a call, in their order: those of the model, of each layer, of the tokens.
struct Model {
    const float *embedding, *norm, *cos, *sin, *eps;
    const Element *head;
};

struct Layer {
    const Element *qkv, *o, *gate_up, *down;  // panels; those of gate_up hold LANES of the gate, then LANES of up
    const float *input_norm, *post_norm, *q_norm, *k_norm;  // the last two are null without QK-norm
};

struct Tokens {
    const int64_t *ids, *positions, *slots;  // (rows)
    const int64_t *wanted;                   // rows whose logits are computed
    Element *keys, *values;                  // (layers, slots, kv_heads, room, head_dim), written to
    float *logits;                           // (wanted, vocabulary rounded up to whole panels)
};

template <class Struct>
constexpr int64_t fields = sizeof(Struct) / sizeof(void *);

static inline float inverse_rms(const float *x, int size, float eps) {
    Vector squares = {};
    for (int i = 0; i < size; i += LANES) squares += load(x + i) * load(x + i);
    return 1.0f / std::sqrt(sum(squares) / size + eps);
}

static void normalise(const float *x, int size, float eps, const float *weight, float *to) {
    const float scale = inverse_rms(x, size, eps);
    for (int i = 0; i < size; i += LANES) store(to + i, rounded(load(x + i) * scale * load(weight + i)));
}

// x times one panel for R rows; `finish` takes a row's two vectors of sums.
template <int R, class Finish>
static inline void tile(const float *x, int inputs, const Element *panel, const Finish &finish) {
    Vector sums[R][2] = {};
    accumulate<R>(x, inputs, 1, panel, PANEL, inputs, sums);
    for (int r = 0; r < R; r++) finish(r, rounded(sums[r][0]), rounded(sums[r][1]));
}

template <class Finish>
static void multiply(const float *x, int rows, int inputs, const Element *weight, int outputs, const Finish &finish) {
    const int panels = up_to_panels(outputs) / PANEL, block = 8 * TILE;
#pragma omp for collapse(2) schedule(static)
    for (int panel = 0; panel < panels; panel++)
        for (int first = 0; first < rows; first += block) {
            const Element *columns = weight + (int64_t)panel * inputs * PANEL;
            const int end = first + block < rows ? first + block : rows;
            int row = first;
            const auto place = [&](int r, Vector left, Vector right) { finish(row + r, panel, left, right); };
            for (; row + TILE <= end; row += TILE) tile<TILE>(x + row * inputs, inputs, columns, place);
            for (; row < end; row++) tile<1>(x + row * inputs, inputs, columns, place);
        }
}

// Rotary positions on a head that was normalised before, if the network does that.
static void turn(const Model &model, int size, float *head, const float *weight, int64_t position) {
    const float scale = weight ? inverse_rms(head, size, *model.eps) : 1.0f;
    const float *cos = model.cos + position * size / 2, *sin = model.sin + position * size / 2;
    for (int i = 0; i < size / 2; i++) {
        const float left = weight ? head[i] * scale * weight[i] : head[i];
        const float right = weight ? head[i + size / 2] * scale * weight[i + size / 2] : head[i + size / 2];
        head[i] = left * cos[i] - right * sin[i];
        head[i + size / 2] = right * cos[i] + left * sin[i];
    }
    for (int i = 0; i < size; i += LANES) store(head + i, rounded(load(head + i)));
}

// N vectors of the values' mean under `weights`, times `share`.
template <int N>
static inline void mix(const Element *values, int size, const float *weights, int64_t position, float share,
                       float *out) {
    Vector sums[N] = {};
    for (int64_t at = 0; at <= position; at++)
        for (int n = 0; n < N; n++) {
            __builtin_prefetch(values + (at + AHEAD) * size + n * LANES);
            sums[n] += weights[at] * load(values + at * size + n * LANES);
        }
    for (int n = 0; n < N; n++) store(out + n * LANES, rounded(sums[n] * share));
}

// softmax(q K / sqrt(head_dim)) V over places 0 ... position; `scores` has room for them and a vector more.
static void attend(int size, const float *q, const Element *keys, const Element *values, int64_t position,
                   float *scores, float *out) {
    const float scale = 1.0f / std::sqrt((float)size);
    float most = -INFINITY;
    for (int64_t at = 0; at <= position; at++) {
        Vector products = {};
        for (int i = 0; i < size; i += LANES) {
            __builtin_prefetch(keys + (at + AHEAD) * size + i);
            products += load(q + i) * load(keys + at * size + i);
        }
        scores[at] = sum(products);
        most = scores[at] > most ? scores[at] : most;
    }
    for (int lane = 1; lane < LANES; lane++) scores[position + lane] = -INFINITY;
    Vector total = {};  // at least about 1, so that what stands after the last place, 1e-38, adds nothing
    most *= scale;
    for (int64_t at = 0; at <= position; at += LANES) {
        const Vector weights = exponential(load(scores + at) * scale - most);
        store(scores + at, weights);
        total += weights;
    }
    const float share = 1.0f / sum(total);
    int i = 0;
    for (; i + 4 * LANES <= size; i += 4 * LANES) mix<4>(values + i, size, scores, position, share, out + i);
    for (; i < size; i += LANES) mix<1>(values + i, size, scores, position, share, out + i);
}

// What is wrong with a call; null if nothing is.
static const char *refusal(const Sizes &s, const Tokens &tokens) {
    for (int64_t row = 0; row < s.rows; row++) {
        if (tokens.ids[row] < 0 || tokens.ids[row] >= s.vocabulary) return "an id is outside the vocabulary";
        if (tokens.slots[row] < 0 || tokens.slots[row] >= s.slots) return "a slot is outside the cache";
        if (tokens.positions[row] < 0 || tokens.positions[row] >= std::min(s.room, s.context))
            return "a position is outside the cache or the model's context";
    }
    for (int64_t row = 0; row < s.wanted; row++)
        if (tokens.wanted[row] < 0 || tokens.wanted[row] >= s.rows) return "a wanted row is none of the rows read";
    return nullptr;
}

// Reads tokens, each at its position in its slot of the cache; tokens of one slot may come together, in order.
extern "C" const char *decode(const int64_t *numbers, int64_t number_count, void *const *tensors, int64_t tensor_count,
                              int threads) {
    const Sizes &s = *(const Sizes *)numbers;
    if (number_count != fields<Sizes> || tensor_count != fields<Model> + s.layers * fields<Layer> + fields<Tokens>)
        return MISCOUNTED;
    const Model &model = *(const Model *)tensors;
    const Layer *layers = (const Layer *)(tensors + fields<Model>);
    const Tokens &tokens = *(const Tokens *)(layers + s.layers);
    if (const char *wrong = refusal(s, tokens)) return wrong;
    const int hidden = s.hidden, size = s.head_dim, inner = s.intermediate, rows = s.rows, count = s.wanted;
    const int group = s.heads / s.kv_heads, q_width = s.heads * size, kv_width = s.kv_heads * size;
    const int width = up_to_panels(q_width + 2 * kv_width), padded = up_to_panels(s.vocabulary);
    const int64_t *positions = tokens.positions;
    std::vector<float> stream(rows * hidden), normal(rows * hidden), qkv(rows * width), mixed(rows * q_width),
        gated(rows * inner);
    const auto add = [&](int row, int panel, Vector left, Vector right) {
        float *at = &stream[row * hidden + panel * PANEL];
        store(at, load(at) + left);
        if (panel * PANEL + LANES < hidden) store(at + LANES, load(at + LANES) + right);
    };
    const auto place = [&](int layer, int row, int head) {  // of the row's first key or value
        return ((layer * s.slots + tokens.slots[row]) * s.kv_heads + head) * s.room * size;
    };
#pragma omp parallel num_threads(threads)
    {
        std::vector<float> scores(s.room + LANES);
#pragma omp for schedule(static)
        for (int row = 0; row < rows; row++)
            memcpy(&stream[row * hidden], model.embedding + tokens.ids[row] * hidden, hidden * sizeof(float));
        for (int l = 0; l < s.layers; l++) {
            const Layer &layer = layers[l];
#pragma omp for schedule(static)
            for (int row = 0; row < rows; row++)
                normalise(&stream[row * hidden], hidden, *model.eps, layer.input_norm, &normal[row * hidden]);
            multiply(normal.data(), rows, hidden, layer.qkv, width, [&](int row, int panel, Vector left, Vector right) {
                store(&qkv[row * width + panel * PANEL], left);
                store(&qkv[row * width + panel * PANEL + LANES], right);
            });
#pragma omp for collapse(2) schedule(static)
            for (int row = 0; row < rows; row++)
                for (int head = 0; head < s.kv_heads; head++) {
                    float *k = &qkv[row * width + q_width + head * size], *v = k + kv_width;
                    const int64_t at = place(l, row, head) + positions[row] * size;
                    turn(model, size, k, layer.k_norm, positions[row]);
                    for (int i = 0; i < size; i += LANES) {
                        store(tokens.keys + at + i, load(k + i));
                        store(tokens.values + at + i, load(v + i));
                    }
                }
#pragma omp for collapse(2) schedule(static, 1)  // later places have more to read
            for (int row = 0; row < rows; row++)
                for (int head = 0; head < s.heads; head++) {
                    float *q = &qkv[row * width + head * size];
                    const int64_t at = place(l, row, head / group);
                    turn(model, size, q, layer.q_norm, positions[row]);
                    attend(size, q, tokens.keys + at, tokens.values + at, positions[row], scores.data(),
                           &mixed[row * q_width + head * size]);
                }
            multiply(mixed.data(), rows, q_width, layer.o, hidden, add);
#pragma omp for schedule(static)
            for (int row = 0; row < rows; row++)
                normalise(&stream[row * hidden], hidden, *model.eps, layer.post_norm, &normal[row * hidden]);
            multiply(normal.data(), rows, hidden, layer.gate_up, 2 * inner,
                     [&](int row, int panel, Vector gate, Vector up) {
                         const Vector silu = rounded(gate / (1.0f + exponential(-gate)));
                         store(&gated[row * inner + panel * LANES], rounded(silu * up));
                     });
            multiply(gated.data(), rows, inner, layer.down, hidden, add);
        }
#pragma omp for schedule(static)
        for (int row = 0; row < count; row++)
            normalise(&stream[tokens.wanted[row] * hidden], hidden, *model.eps, model.norm, &normal[row * hidden]);
        multiply(normal.data(), count, hidden, model.head, padded, [&](int row, int panel, Vector left, Vector right) {
            store(tokens.logits + row * (int64_t)padded + panel * PANEL, left);
            store(tokens.logits + row * (int64_t)padded + panel * PANEL + LANES, right);
        });
    }
    return nullptr;
}
