// The loops of ../_numba/kernels.py and ../_numba/adaptive.py, in C++: same names, same arguments, same order of operations.
//
// Every function takes one list of whole numbers: a number as it is, for an array where its record is: address, number of axes, and
// where their sizes are. PART 1 is compiled so that every operation rounds as written; PART 2, the backward pass, so that sums may be
// reordered and fused. NaN and infinity keep their meaning in both.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef __AVX2__
#include <immintrin.h>
#endif

#define R __restrict__
#define EACH(j, n) for (I j = 0; j < (n); ++j)
// Along a row, whose places know nothing of each other: rows are whole arrays or apart, and no check at run time has to say so.
#define ROW(j, n) _Pragma("GCC ivdep") for (I j = 0; j < (n); ++j)
// In a loop over events: compilers would write a handful of places with one instruction that costs more than all of them.
#define ONE_BY_ONE __asm__ volatile("")

namespace {

typedef int64_t I;
typedef int32_t J;

enum { SPIKING = 1, CURRENT = 2, RESET_ZERO = 4, RESET_ATTACHED = 8, RECURRENT = 16, DELAYED = 32, THRESHOLD_CROSSED = 64,
       ADAPTS_LATE = 128, ARGUMENT_RELATIVE = 256, DRIVEN_BY_POTENTIAL = 512, READ_SUM = 1024, READ_MAX = 2048 };

template <class T> struct Array {
    T* p;
    I a, b, c;
    bool empty() const { return a * b * c == 0; }
    T* operator()(I s) const { return p + s * b * c; }
    T* operator()(I s, I t) const { return p + (s * b + t) * c; }
};

struct Given {
    const I* at;
    template <class T> Array<T> array() {
        struct { T* p; int32_t axes; const I* sizes; } record;
        std::memcpy(&record, reinterpret_cast<const void*>(*at++), sizeof record);
        const auto size = [&](int k) { return k < record.axes ? record.sizes[k] : I(1); };
        return {record.p, size(0), size(1), size(2)};
    }
    I number() { return *at++; }
};

// Vectors of 64 bytes, which compilers cut as the machine wants, and of 16 for what is left; elements need not be aligned.
template <class T, int BYTES = 64> struct Lanes {
    typedef T V __attribute__((vector_size(BYTES)));
    static constexpr I count = BYTES / sizeof(T);
    static V load(const T* p) {
        V v;
        std::memcpy(&v, p, sizeof v);
        return v;
    }
    static void store(T* p, V v) { std::memcpy(p, &v, sizeof v); }
};

template <class L, int MANY, class T> I sum_columns(const T* rows, const J* index, I lo, I hi, I n, T* out, I j) {
    for (; j + MANY * L::count <= n; j += MANY * L::count) {
        typename L::V a[MANY] = {};
        for (I e = lo; e < hi; ++e) {
            const T* r = rows + index[e] * n + j;
            for (int q = 0; q < MANY; ++q) a[q] += L::load(r + q * L::count);
        }
        for (int q = 0; q < MANY; ++q) L::store(out + j + q * L::count, a[q]);
    }
    return j;
}

// out = the sum of the rows that index[lo:hi] names, in that order; sums stay in registers.
template <class T> void sum_rows(const T* rows, const J* index, I lo, I hi, I n, T* out) {
    I j = sum_columns<Lanes<T>, 4>(rows, index, lo, hi, n, out, 0);
    j = sum_columns<Lanes<T>, 1>(rows, index, lo, hi, n, out, j);
    j = sum_columns<Lanes<T, 16>, 1>(rows, index, lo, hi, n, out, j);
    for (; j < n; ++j) {
        T a = 0;
        for (I e = lo; e < hi; ++e) a += rows[index[e] * n + j];
        out[j] = a;
    }
}

// Sixteen comparisons as bits: x != a number, or x > bound.
template <class T> unsigned unlike(const T* x, T number) {
    unsigned bits = 0;
    for (int k = 0; k < 16; ++k) bits |= unsigned(x[k] != number) << k;
    return bits;
}
template <class T> unsigned above(const T* x, const T* bound) {
    unsigned bits = 0;
    for (int k = 0; k < 16; ++k) bits |= unsigned(x[k] > bound[k]) << k;
    return bits;
}
#ifdef __AVX512F__
inline unsigned unlike(const float* x, float number) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(x), _mm512_set1_ps(number), _CMP_NEQ_UQ);
}
inline unsigned above(const float* x, const float* b) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(x), _mm512_loadu_ps(b), _CMP_GT_OQ);
}
#elif defined(__AVX2__)
inline unsigned unlike(const float* x, float number) {
    const auto half = [=](const float* y) {
        return unsigned(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(y), _mm256_set1_ps(number), _CMP_NEQ_UQ)));
    };
    return half(x) | half(x + 8) << 8;
}
inline unsigned above(const float* x, const float* b) {
    const auto half = [](const float* y, const float* c) {
        return unsigned(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(y), _mm256_loadu_ps(c), _CMP_GT_OQ)));
    };
    return half(x, b) | half(x + 8, b + 8) << 8;
}
#endif

template <class Some> uint64_t sixty_four(I j, Some some) {
    uint64_t bits = 0;
    for (int q = 0; q < 4; ++q) bits |= uint64_t(some(j + 16 * q)) << 16 * q;
    return bits;
}

// Positions at which ``holds`` (of sixteen: ``some``) are written to index[found:], which has room for a row; returns where the
// list ends. Four are written at once, and written over when they are none: a loop over one mask's positions ends where no
// processor guesses, which costs as much as writing eight. ``seen`` is told every mask and where it begins.
template <class Some, class Holds, class Seen> I listed(I n, J* index, I found, Some some, Holds holds, Seen seen) {
    const uint64_t last = uint64_t(1) << 63;  // so that no mask is empty
    const auto take = [&](uint64_t bits, I j, int width) {
        seen(bits, j, width);
        const I stop = found + __builtin_popcountll(bits);
        do {
            for (int q = 0; q < 4; ++q, bits &= bits - 1) index[found + q] = J(j + __builtin_ctzll(bits | last));
            found += 4;
        } while (found < stop);
        found = stop;
    };
    const auto without = [](uint64_t bits, I first) { return bits >> first << first; };
    // All but the last three by masks; what is left of a row by one that begins earlier.
    const I whole = n / 4 * 4;
    I j = 0, at = whole - 64;
    for (; j + 64 <= whole; j += 64) take(sixty_four(j, some), j, 64);
    if (j < whole && at >= 0) take(without(sixty_four(at, some), j - at), at, 64), j = whole;
    for (; j + 16 <= whole; j += 16) take(some(j), j, 16);
    at = whole - 16;
    if (j < whole && at >= 0) take(without(some(at), j - at), at, 16), j = whole;
    for (; j < n; ++j)
        if (holds(j)) seen(1, j, 1), index[found++] = J(j);
    return found;
}
struct Nobody {
    void operator()(uint64_t, I, int) const {}
};
template <class T> I nonzero(const T* x, I n, J* index, I found) {
    return listed(n, index, found, [=](I j) { return unlike(x + j, T(0)); }, [=](I j) { return x[j] != T(0); }, Nobody());
}

#if PART == 1

// out = W in + bias from the events of a row.
template <class T>
void project_row(I row, Array<I> pointer, Array<J> index, Array<T> value, const T* bias, Array<T> w_in_t, I n, T* R out) {
    if (value.empty())
        sum_rows(w_in_t.p, index.p, pointer.p[row], pointer.p[row + 1], n, out);
    else {
        std::fill(out, out + n, T(0));
        for (I e = pointer.p[row]; e < pointer.p[row + 1]; ++e) {
            const T* r0 = w_in_t(index.p[e]);
            const T y = value.p[e];
            ROW(j, n) out[j] += y * r0[j];
        }
    }
    if (bias) ROW(j, n) out[j] += bias[j];
}

template <class T> I project(const I* given) {
    Given g = {given};
    auto pointer = g.array<I>();
    auto index = g.array<J>();
    auto value = g.array<T>(), bias = g.array<T>(), w_in_t = g.array<T>();
    const I lo = g.number();
    auto drive = g.array<T>();
    EACH(row, drive.a)
        project_row(row, pointer, index, value, bias.empty() ? nullptr : bias.p + lo, w_in_t, w_in_t.b, drive.p + row * drive.b + lo);
    return 0;
}

template <class T>
void arrive(I s, I t, I row, Array<I> pointer, Array<J> index, Array<T> value, Array<T> drive, Array<T> bias, Array<T> w_in_t,
            I n, T* R out) {
    if (drive.empty())
        project_row(row, pointer, index, value, bias.empty() ? nullptr : bias.p, w_in_t, n, out);
    else
        std::memcpy(out, drive(s, t), n * sizeof(T));
}

template <class T> void come_back(const T* w_rec_t, const J* index, I lo, I hi, I n, T* R back, T* R out) {
    if (lo == hi) return;
    sum_rows(w_rec_t, index, lo, hi, n, back);
    ROW(j, n) out[j] += back[j];
}

template <class T> I events(const I* given) {
    Given g = {given};
    auto x = g.array<T>();
    auto index = g.array<J>();
    auto value = g.array<T>();
    auto pointer = g.array<I>();
    I found = 0, other = 0, valued = 0;
    pointer.p[0] = 0;
    EACH(r, x.a) {
        const T* row = x(r);
        const auto is_not = [=](I j) { return unlike(row + j, T(1)); };
        const auto not_one = [&](uint64_t bits, I j, int width) {
            const uint64_t differ = width == 64 ? sixty_four(j, is_not) : width == 16 ? is_not(j) : row[j] != T(1);
            other += __builtin_popcountll(bits & differ);
        };
        found = listed(x.b, index.p, found, [=](I j) { return unlike(row + j, T(0)); }, [=](I j) { return row[j] != T(0); }, not_one);
        pointer.p[r + 1] = found;
        for (; other && valued <= r; ++valued)  // values only when some are not one; also of the rows before
            for (I e = pointer.p[valued]; e < pointer.p[valued + 1]; ++e) value.p[e] = x(valued)[index.p[e]];
    }
    return other;
}

template <class T> I not_finite(const I* given) {
    Given g = {given};
    auto x = g.array<T>();
    I found = 0;
    EACH(j, x.a) found |= !(x.p[j] - x.p[j] == T(0));
    return found;
}

template <class T> I add(const I* given) {
    Given g = {given};
    auto x = g.array<T>(), out = g.array<T>();
    EACH(j, x.a * x.b) out.p[j] += x.p[j];
    return 0;
}

template <class T> I count_some(const I* given) {
    Given g = {given};
    auto x = g.array<T>();
    const I stride = g.number();
    I count = 0;
    for (I r = 0; r < x.a; r += stride) {
        const T* row = x(r);
        I k = 0;
        for (; k + 16 <= x.b; k += 16) count += __builtin_popcount(unlike(row + k, T(0)));
        for (; k < x.b; ++k) count += row[k] != 0;
    }
    return count;
}

// A square of 8 numbers a side changes rows and columns in registers; ``across`` and ``to`` are from row to row.
template <class T> void turn_tile(const T* x, I across, T* out, I to) {
    EACH(q, 8) EACH(p, 8) out[q * to + p] = x[p * across + q];
}
#ifdef __AVX2__
inline void turn_tile(const float* x, I across, float* out, I to) {
    __m256 a[8], b[8];
    for (int p = 0; p < 8; ++p) a[p] = _mm256_loadu_ps(x + p * across);
    for (int p = 0; p < 8; p += 2) {
        b[p] = _mm256_unpacklo_ps(a[p], a[p + 1]);
        b[p + 1] = _mm256_unpackhi_ps(a[p], a[p + 1]);
    }
    for (int p = 0; p < 8; p += 4)
        for (int q = 0; q < 2; ++q) {
            a[p + 2 * q] = _mm256_shuffle_ps(b[p + q], b[p + 2 + q], 0x44);
            a[p + 2 * q + 1] = _mm256_shuffle_ps(b[p + q], b[p + 2 + q], 0xee);
        }
    for (int q = 0; q < 4; ++q) {
        _mm256_storeu_ps(out + q * to, _mm256_permute2f128_ps(a[q], a[q + 4], 0x20));
        _mm256_storeu_ps(out + (q + 4) * to, _mm256_permute2f128_ps(a[q], a[q + 4], 0x31));
    }
}
#endif

template <class T> I turn(const I* given) {
    Given g = {given};
    auto x = g.array<T>(), out = g.array<T>();
    const I line = 16, rows = x.a / line * line, columns = x.b / line * line;
    for (I k = 0; k < columns; k += line)
        for (I j = 0; j < rows; j += line)  // whole lines of the cache on both sides
            for (I q = 0; q < line; q += 8)
                for (I p = 0; p < line; p += 8) turn_tile(x.p + (j + p) * x.b + k + q, x.b, out.p + (k + q) * x.a + j + p, x.a);
    EACH(k, x.b) for (I j = k < columns ? rows : 0; j < x.a; ++j) out.p[k * x.a + j] = x.p[j * x.b + k];
    return 0;
}

template <class T> I silence(const I* given) {
    Given g = {given};
    auto psi = g.array<T>();
    auto pointer = g.array<I>();
    auto index = g.array<J>();
    auto left = g.array<T>();
    const I silent = g.number(), samples = psi.a, steps = psi.b, n = psi.c;
    EACH(s, samples) {
        ROW(j, n) for (I t = 0; t < steps && left(s)[j] > T(t); ++t) psi(s, t)[j] = 0;
        EACH(t, steps) for (I e = pointer.p[s * steps + t]; e < pointer.p[s * steps + t + 1]; ++e)
            for (I u = t + 1; u < std::min(t + 1 + silent, steps); ++u) psi(s, u)[index.p[e]] = 0;
    }
    return 0;
}

template <class T> I pack(const I* given) {
    Given g = {given};
    auto x = g.array<T>();
    auto pointer = g.array<I>();
    auto place = g.array<unsigned char>();
    auto value = g.array<T>();
    auto chosen = g.array<J>();
    I found = 0;
    pointer.p[0] = 0;
    for (I k = 0; 256 * k < x.a; ++k) {
        const T* block = x.p + 256 * k;
        const I count = nonzero(block, std::min<I>(256, x.a - 256 * k), chosen.p, 0);
        if (found + count > value.a) return -1;
        for (I e = 0; e < count; ++e, ++found) {
            place.p[found] = static_cast<unsigned char>(chosen.p[e]);
            value.p[found] = block[chosen.p[e]];
        }
        pointer.p[k + 1] = found;
    }
    return found;
}

template <class T> I unpack(const I* given) {
    Given g = {given};
    auto pointer = g.array<I>();
    auto place = g.array<unsigned char>();
    auto value = g.array<T>(), x = g.array<T>();
    std::fill(x.p, x.p + x.a, T(0));
    for (I k = 0; k + 1 < pointer.a; ++k)
        for (I e = pointer.p[k]; e < pointer.p[k + 1]; ++e) {
            ONE_BY_ONE;
            x.p[256 * k + place.p[e]] = value.p[e];
        }
    return 0;
}

template <class T> struct Advance {
    Array<I> pointer;
    Array<J> index;
    Array<T> value, drive, bias, w_in_t, w_rec_t, first, coefficients, v, second, left;
    Array<I> spike_pointer;
    Array<J> spike_index;
    I known;
    Array<T> output, potentials, seconds, currents, arguments, scratch;
    I silent, steps, flags;
    explicit Advance(const I* given) {
        Given g = {given};
        pointer = g.array<I>(), index = g.array<J>();
        for (Array<T>* x : {&value, &drive, &bias, &w_in_t, &w_rec_t, &first, &coefficients, &v, &second, &left})
            *x = g.array<T>();
        spike_pointer = g.array<I>(), spike_index = g.array<J>(), known = g.number();
        for (Array<T>* x : {&output, &potentials, &seconds, &currents, &arguments, &scratch}) *x = g.array<T>();
        silent = g.number(), steps = g.number(), flags = g.number();
    }
};

template <class T> void keep(Array<T> out, I s, I t, const T* row, I n) {
    if (!out.empty()) std::memcpy(out(s, t), row, n * sizeof(T));
}

// Add a step to a sum over time, or to a maximum and the first step that has it; what is not a number stays.
template <class T> void read(const T* R v, I t, T* R found, T* R at, I n, I flags) {
    if (flags & READ_SUM)
        ROW(j, n) found[j] += v[j];
    else if (flags & READ_MAX)
        ROW(j, n) {
            const bool higher = !(v[j] <= found[j]);
            at[j] = higher ? T(t) : at[j];
            found[j] = higher ? v[j] : found[j];
        }
}

// Few neurons without a threshold, a readout: their state stays in registers from the first step to the last. Vectors cover a row and
// overlap where they do not fit, which gives the same twice.
template <int MANY, class L, class T> void integrate_some(const Advance<T>& g) {
    typedef typename L::V V;
    const I n = g.v.b;
    I at[MANY];
    for (int q = 0; q < MANY / 2; ++q) at[q] = q * L::count, at[MANY - 1 - q] = n - (q + 1) * L::count;
    const auto load = [&](const T* row, V* to) {
        for (int q = 0; q < MANY; ++q) to[q] = L::load(row + at[q]);
    };
    const auto store = [&](T* row, const V* from) {
        for (int q = 0; q < MANY; ++q) L::store(row + at[q], from[q]);
    };
    const bool current = g.flags & CURRENT, sum = !g.arguments.empty() && g.flags & READ_SUM,
               maximum = !g.arguments.empty() && g.flags & READ_MAX;
    V decay_syn[MANY], decay_mem[MANY], gain[MANY];
    load(g.coefficients(0), decay_syn), load(g.coefficients(1), decay_mem), load(g.coefficients(2), gain);
    EACH(s, g.v.a) {
        V v[MANY], i[MANY] = {}, found[MANY] = {}, when[MANY] = {};
        load(g.v(s), v);
        if (current) load(g.second(s), i);
        if (sum || maximum) load(g.arguments(s, 0), found), load(g.arguments(s, 1), when);
        EACH(t, g.steps) {
            const I row = s * g.steps + t;
            if (!g.potentials.empty()) store(g.potentials(s, t), v);
            if (!g.output.empty()) store(g.output(s, t), v);
            if (sum)
                for (int q = 0; q < MANY; ++q) found[q] += v[q];
            if (maximum)
                for (int q = 0; q < MANY; ++q) {
                    const auto not_higher = v[q] <= found[q];
                    when[q] = not_higher ? when[q] : V{} + T(t);
                    found[q] = not_higher ? found[q] : v[q];
                }
            V cur[MANY] = {};
            for (I e = g.pointer.p[row]; e < g.pointer.p[row + 1]; ++e) {
                const T* from = g.w_in_t(g.index.p[e]);
                for (int q = 0; q < MANY; ++q) cur[q] += L::load(from + at[q]);
            }
            if (!g.bias.empty())
                for (int q = 0; q < MANY; ++q) cur[q] += L::load(g.bias.p + at[q]);
            V x[MANY];
            for (int q = 0; q < MANY; ++q) x[q] = current ? i[q] : cur[q];
            if (!g.currents.empty()) store(g.currents(s, t), x);
            for (int q = 0; q < MANY; ++q) {
                v[q] = decay_mem[q] * v[q] + gain[q] * x[q];
                if (current) i[q] = decay_syn[q] * i[q] + cur[q];
            }
        }
        store(g.v(s), v);
        if (current) store(g.second(s), i);
        if (sum || maximum) store(g.arguments(s, 0), found), store(g.arguments(s, 1), when);
    }
}
template <class L, class T> bool integrate_with(const Advance<T>& g) {
    const I n = g.v.b;
    if (n < L::count || n > 4 * L::count) return false;
    n <= 2 * L::count ? integrate_some<2, L>(g) : integrate_some<4, L>(g);
    return true;
}
template <class T> bool integrate(const Advance<T>& g) {
    if (g.flags & (SPIKING | RECURRENT) || !g.value.empty() || !g.drive.empty()) return false;
    return integrate_with<Lanes<T>>(g) || integrate_with<Lanes<T, 32>>(g) || integrate_with<Lanes<T, 16>>(g);
}

template <class T> I advance(const I* given) {
    Advance<T> g(given);
    if (integrate(g)) return 0;
    const I samples = g.v.a, n = g.v.b;
    const bool spiking = g.flags & SPIKING, has_current = g.flags & CURRENT, to_zero = g.flags & RESET_ZERO,
               recurrent = g.flags & RECURRENT, delayed = g.flags & DELAYED;
    const T *R decay_syn = g.coefficients(0), *R decay_mem = g.coefficients(1), *R gain = g.coefficients(2), *R v_th = g.coefficients(3);
    T *cur = g.scratch(0), *back = g.scratch(1);
    I* sp = g.spike_pointer.p;
    J* si = g.spike_index.p;
    I found = 0;
    EACH(s, samples) {
        T *R vs = g.v(s), *R cs = has_current ? g.second(s) : nullptr, *R waits = g.silent ? g.left(s) : nullptr;
        EACH(t, g.steps) {
            const I row = s * g.steps + t;
            keep(g.potentials, s, t, vs, n);
            if (!spiking) {
                keep(g.output, s, t, vs, n);
                if (!g.arguments.empty()) read(vs, t, g.arguments(s, 0), g.arguments(s, 1), n, g.flags);
            } else if (g.known)
                found = sp[row + 1];
            else {
                const I before = found;
                found = listed(n, si, found, [=](I j) { return above(vs + j, v_th + j); }, [=](I j) { return vs[j] > v_th[j]; }, Nobody());
                if (g.silent) {
                    const I end = found;
                    found = before;
                    for (I e = before; e < end; ++e) {
                        si[found] = si[e];
                        found += waits[si[e]] <= 0;
                    }
                    ROW(j, n) waits[j] = std::max(waits[j] - T(1), T(0));
                }
                sp[row + 1] = found;
                if (!g.output.empty()) {
                    T* R o = g.output(s, t);
                    std::fill(o, o + n, T(0));
                    for (I e = sp[row]; e < found; ++e) {
                        ONE_BY_ONE;
                        o[si[e]] = T(1);
                    }
                }
            }
            arrive(s, t, row, g.pointer, g.index, g.value, g.drive, g.bias, g.w_in_t, n, cur);
            I lo = 0, hi = 0;  // of the spikes that come back
            if (recurrent) {
                if (delayed && t == 0) {
                    const T* R f = g.first(s);
                    ROW(j, n) cur[j] += f[j];
                } else {
                    const I sender = delayed ? row - 1 : row;
                    lo = sp[sender], hi = sp[sender + 1];
                }
            }
            const T *R c = cur, *R more = back;
            if (has_current) {
                keep(g.currents, s, t, cs, n);
                if (lo < hi) {
                    sum_rows(g.w_rec_t.p, si, lo, hi, n, back);
                    ROW(j, n) {
                        vs[j] = decay_mem[j] * vs[j] + gain[j] * cs[j];
                        cs[j] = decay_syn[j] * cs[j] + (c[j] + more[j]);
                    }
                } else
                    ROW(j, n) {
                        vs[j] = decay_mem[j] * vs[j] + gain[j] * cs[j];
                        cs[j] = decay_syn[j] * cs[j] + c[j];
                    }
            } else {
                come_back(g.w_rec_t.p, si, lo, hi, n, back, cur);
                keep(g.currents, s, t, cur, n);
                ROW(j, n) vs[j] = decay_mem[j] * vs[j] + gain[j] * c[j];
            }
            if (spiking)
                for (I e = sp[row]; e < found; ++e) {
                    ONE_BY_ONE;
                    const J k = si[e];
                    vs[k] = to_zero ? vs[k] * T(0) : vs[k] - v_th[k];
                    if (g.silent) waits[k] = T(g.silent);
                }
        }
    }
    return 0;
}

// List the neurons with x > 0 that are not refractory; z is 1 for them.
template <class T> void send(Advance<T>& g, I s, I t, const T* R x, I n, T* R z) {
    const I row = s * g.steps + t;
    I* sp = g.spike_pointer.p;
    J* si = g.spike_index.p;
    if (g.known) {
        std::fill(z, z + n, T(0));
        for (I e = sp[row]; e < sp[row + 1]; ++e) {
            ONE_BY_ONE;
            z[si[e]] = 1;
        }
        return;
    }
    ROW(j, n) z[j] = x[j] > 0 ? T(1) : T(0);
    if (g.silent) {
        T* R left = g.left(s);
        ROW(j, n) {
            z[j] = left[j] <= 0 ? z[j] : T(0);
            left[j] = std::max(left[j] - T(1), T(0)) + T(g.silent) * z[j];
        }
    }
    sp[row + 1] = nonzero(z, n, si, sp[row]);
    keep(g.output, s, t, z, n);
}

template <class T> void collect(Advance<T>& g, I s, I t, I n, T* cur, T* back) {
    const I row = s * g.steps + t;
    arrive(s, t, row, g.pointer, g.index, g.value, g.drive, g.bias, g.w_in_t, n, cur);
    if (g.flags & RECURRENT)
        come_back(g.w_rec_t.p, g.spike_index.p, g.spike_pointer.p[row], g.spike_pointer.p[row + 1], n, back, cur);
    keep(g.currents, s, t, cur, n);
}

template <class T> I advance_alif(const I* given) {
    Advance<T> g(given);
    const I samples = g.v.a, n = g.v.b;
    const T *R decay_mem = g.coefficients(0), *R gain = g.coefficients(1), *R decay_adapt = g.coefficients(2),
            *R rise = g.coefficients(3), *R beta = g.coefficients(4), *R v_th = g.coefficients(5), *R unit = g.coefficients(6);
    const T zero = g.flags & RESET_ZERO ? 1 : 0, subtract = T(1) - zero, crossed = g.flags & THRESHOLD_CROSSED ? subtract : T(0);
    const bool late = g.flags & ADAPTS_LATE, relative = g.flags & ARGUMENT_RELATIVE;
    T *R cur = g.scratch(0), *R back = g.scratch(1), *R z = g.scratch(2), *R x = g.scratch(3);
    EACH(s, samples) {
        T *R v = g.v(s), *R a = g.second(s);
        EACH(t, g.steps) {
            keep(g.potentials, s, t, v, n);
            keep(g.seconds, s, t, a, n);
            ROW(j, n) {
                const T threshold = v_th[j] + beta[j] * a[j];
                x[j] = (v[j] - threshold) / (relative ? threshold : unit[j]);
            }
            keep(g.arguments, s, t, x, n);
            send(g, s, t, x, n, z);
            collect(g, s, t, n, cur, back);
            ROW(j, n) {
                const T later = decay_adapt[j] * a[j] + rise[j] * z[j];
                const T height = v_th[j] + crossed * (beta[j] * (late ? later : a[j]));
                const T u = decay_mem[j] * v[j] + gain[j] * cur[j];
                v[j] = u * (T(1) - zero * z[j]) - subtract * (z[j] * height);
                a[j] = later;
            }
        }
    }
    return 0;
}

template <class T> I advance_adlif(const I* given) {
    Advance<T> g(given);
    const I samples = g.v.a, n = g.v.b;
    const T *R decay_mem = g.coefficients(0), *R gain = g.coefficients(1), *R decay_adapt = g.coefficients(2),
            *R drawn = g.coefficients(3), *R by_v = g.coefficients(4), *R by_z = g.coefficients(5), *R v_th = g.coefficients(6);
    const T zero = g.flags & RESET_ZERO ? 1 : 0, subtract = T(1) - zero;
    const bool late = g.flags & ADAPTS_LATE, unreset = g.flags & DRIVEN_BY_POTENTIAL;
    T *R cur = g.scratch(0), *R back = g.scratch(1), *R z = g.scratch(2), *R x = g.scratch(3);
    EACH(s, samples) {
        T *R v = g.v(s), *R w = g.second(s);
        EACH(t, g.steps) {
            keep(g.potentials, s, t, v, n);
            keep(g.seconds, s, t, w, n);
            ROW(j, n) x[j] = v[j] - v_th[j];
            keep(g.arguments, s, t, x, n);
            send(g, s, t, x, n, z);
            collect(g, s, t, n, cur, back);
            ROW(j, n) {
                const T u = v[j] * (T(1) - zero * z[j]) - subtract * (z[j] * v_th[j]);
                const T later = decay_adapt[j] * w[j] + drawn[j] * (by_v[j] * (unreset ? v[j] : u) + by_z[j] * z[j]);
                v[j] = decay_mem[j] * u + gain[j] * (cur[j] - (late ? w[j] : later));
                w[j] = later;
            }
        }
    }
    return 0;
}

#else  // PART 2

// The sum of 64 bytes: halves are added, which stay in registers.
template <class T> T add_up(typename Lanes<T>::V v) {
    typedef T Half __attribute__((vector_size(32)));
    typedef T Quarter __attribute__((vector_size(16)));
    Half a, b;
    std::memcpy(&a, &v, 32), std::memcpy(&b, reinterpret_cast<const char*>(&v) + 32, 32);
    a += b;
    Quarter c, d;
    std::memcpy(&c, &a, 16), std::memcpy(&d, reinterpret_cast<const char*>(&a) + 16, 16);
    c += d;
    T total = 0;
    for (unsigned l = 0; l < 16 / sizeof(T); ++l) total += c[l];
    return total;
}

// out[k] = rows[k] . vector for the chosen k; lanes written out because compilers leave four sums at once scalar.
template <class T> void dots(const T* R rows, const J* R chosen, I count, const T* R vector, I n, T* R out) {
    typedef typename Lanes<T>::V V;
    const I lanes = Lanes<T>::count, whole = n / lanes * lanes;
    I e = 0;
    for (; e + 4 <= count; e += 4) {
        const T* r[4];
        V sum[4] = {};
        for (int q = 0; q < 4; ++q) r[q] = rows + chosen[e + q] * n;
        for (I j = 0; j < whole; j += lanes) {
            const V y = Lanes<T>::load(vector + j);
            for (int q = 0; q < 4; ++q) sum[q] += Lanes<T>::load(r[q] + j) * y;
        }
        for (int q = 0; q < 4; ++q) {
            T total = add_up<T>(sum[q]);
            for (I j = whole; j < n; ++j) total += r[q][j] * vector[j];
            out[chosen[e + q]] = total;
        }
    }
    for (; e < count; ++e) {
        const T* R r = rows + chosen[e] * n;
        T total = 0;
        ROW(j, n) total += r[j] * vector[j];
        out[chosen[e]] = total;
    }
}

// out += delta @ rows.
template <class T> void product(const T* R delta, I samples, I n, const T* R rows, I width, T* R out) {
    I k = 0;
    for (; k + 4 <= n; k += 4) {
        const T *v0 = rows + k * width, *v1 = v0 + width, *v2 = v1 + width, *v3 = v2 + width;
        I s = 0;
        for (; s + 2 <= samples; s += 2) {
            const T *a = delta + s * n + k, *b = a + n;
            const T a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], b0 = b[0], b1 = b[1], b2 = b[2], b3 = b[3];
            T *R o = out + s * width, *R q = o + width;
            ROW(j, width) {
                o[j] += (a0 * v0[j] + a1 * v1[j]) + (a2 * v2[j] + a3 * v3[j]);
                q[j] += (b0 * v0[j] + b1 * v1[j]) + (b2 * v2[j] + b3 * v3[j]);
            }
        }
        for (; s < samples; ++s) {
            const T* a = delta + s * n + k;
            const T a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
            T* R o = out + s * width;
            ROW(j, width) o[j] += (a0 * v0[j] + a1 * v1[j]) + (a2 * v2[j] + a3 * v3[j]);
        }
    }
    for (; k < n; ++k) EACH(s, samples) {
        const T a0 = delta[s * n + k];
        T* R o = out + s * width;
        ROW(j, width) o[j] += a0 * rows[k * width + j];
    }
}

// The row d is added to each row that index[lo:hi] names; rows are ``stride`` apart.
template <class L, int MANY, class T>
I add_to_columns(const T* d, I n, const J* index, I lo, I hi, T* rows, I stride, I j) {
    for (; j + MANY * L::count <= n; j += MANY * L::count) {
        typename L::V a[MANY];
        for (int q = 0; q < MANY; ++q) a[q] = L::load(d + j + q * L::count);
        for (I e = lo; e < hi; ++e) {
            T* r = rows + index[e] * stride + j;
            for (int q = 0; q < MANY; ++q) L::store(r + q * L::count, L::load(r + q * L::count) + a[q]);
        }
    }
    return j;
}
template <class T> void add_to_rows(const T* d, I n, const J* index, I lo, I hi, T* rows, I stride) {
    I j = add_to_columns<Lanes<T>, 4>(d, n, index, lo, hi, rows, stride, 0);
    j = add_to_columns<Lanes<T>, 1>(d, n, index, lo, hi, rows, stride, j);
    j = add_to_columns<Lanes<T, 16>, 1>(d, n, index, lo, hi, rows, stride, j);
    for (; j < n; ++j)
        for (I e = lo; e < hi; ++e) rows[index[e] * stride + j] += d[j];
}

template <class T> I weight_gradient(const I* given) {
    Given g = {given};
    auto delta = g.array<T>();
    auto pointer = g.array<I>();
    auto index = g.array<J>();
    auto value = g.array<T>();
    const I delayed = g.number(), lo = g.number(), hi = g.number(), at = g.number();
    auto grad_t = g.array<T>();
    const I width = hi - lo;
    EACH(s, delta.a) for (I t = delayed ? 1 : 0; t < delta.b; ++t) {
        const I row = s * delta.b + t - (delayed ? 1 : 0);
        const T* d = delta(s, t) + lo;
        if (value.empty())
            add_to_rows(d, width, index.p, pointer.p[row], pointer.p[row + 1], grad_t(0) + at, grad_t.b);
        else
            for (I e = pointer.p[row]; e < pointer.p[row + 1]; ++e) {
                T* R o = grad_t(index.p[e]) + at;
                const T y = value.p[e];
                ROW(j, width) o[j] += y * d[j];
            }
    }
    return 0;
}

template <class T> I send_on(const I* given) {
    Given g = {given};
    auto delta = g.array<T>(), rows = g.array<T>(), out = g.array<T>();
    for (I s = 0; s < delta.a; s += 8) {
        const I some = std::min<I>(8, delta.a - s);
        std::fill(out(s), out(s) + some * out.b, T(0));
        product(delta(s), some, delta.b, rows.p, out.b, out(s));
    }
    return 0;
}

template <class T> struct Retreat {
    Array<T> psi, grad_output, grad_potentials, potentials, seconds, currents;
    Array<I> spike_pointer;
    Array<J> spike_index;
    Array<T> w_rec, w_rec_t, coefficients, grad_v, grad_second, grad_z, delta, grad_coefficients, scratch;
    Array<J> chosen;
    I steps, flags;
    bool recurrent, many;
    explicit Retreat(const I* given) {
        Given g = {given};
        for (Array<T>* x : {&psi, &grad_output, &grad_potentials, &potentials, &seconds, &currents}) *x = g.array<T>();
        spike_pointer = g.array<I>(), spike_index = g.array<J>();
        for (Array<T>* x : {&w_rec, &w_rec_t, &coefficients, &grad_v, &grad_second, &grad_z, &delta,
                            &grad_coefficients, &scratch})
            *x = g.array<T>();
        chosen = g.array<J>(), steps = g.number(), flags = g.number();
        recurrent = !w_rec_t.empty(), many = false;
        if (recurrent) {
            const I size = psi.a * psi.b * psi.c;
            I active = 0;
            ROW(k, size) active += psi.p[k] != 0;
            many = active > 0.55 * size;
        }
    }
    void mark(I s, I t, T* R z) const {
        const I row = s * steps + t;
        std::fill(z, z + grad_v.b, T(0));
        for (I e = spike_pointer.p[row]; e < spike_pointer.p[row + 1]; ++e) {
            ONE_BY_ONE;
            z[spike_index.p[e]] = 1;
        }
    }
    // out = V^T delta of one sample, where psi is not zero.
    void send_back(I s, I t, const T* d, T* out) const {
        const T* R h = psi(s, t);
        const I count = nonzero(h, grad_v.b, chosen.p, 0);
        dots(w_rec_t.p, chosen.p, count, d, grad_v.b, out);
    }
    void add(Array<T> from, I s, I t, T* R out) const {
        if (from.empty()) return;
        const T* R x = from(s, t);
        ROW(j, grad_v.b) out[j] += x[j];
    }
};

template <class T> void retreat_integrator(const Retreat<T>& g) {
    const I samples = g.grad_v.a, n = g.grad_v.b;
    const bool has_current = g.flags & CURRENT;
    const T *R decay_syn = g.coefficients(0), *R decay_mem = g.coefficients(1), *R gain = g.coefficients(2);
    EACH(s, samples) {
        T *R gv = g.grad_v(s), *R gi = has_current ? g.grad_second(s) : nullptr;
        for (I t = g.steps - 1; t >= 0; --t) {
            T* R d = g.delta(s, t);
            if (!g.grad_coefficients.empty()) {
                const T *R x = g.currents(s, t), *R p = g.potentials(s, t);
                T* R sums = g.grad_coefficients(s);
                ROW(j, n) {
                    sums[n + j] += gv[j] * p[j];
                    sums[2 * n + j] += gv[j] * x[j];
                }
                if (has_current) ROW(j, n) sums[j] += gi[j] * x[j];
            }
            if (has_current)
                ROW(j, n) {
                    d[j] = gi[j];
                    gi[j] = decay_syn[j] * gi[j] + gain[j] * gv[j];
                    gv[j] = decay_mem[j] * gv[j];
                }
            else
                ROW(j, n) {
                    d[j] = gain[j] * gv[j];
                    gv[j] = decay_mem[j] * gv[j];
                }
            if (!g.psi.empty()) {  // what a readout over time sends back, and to which step
                const T *R back = g.psi(s, 0), *R at = g.psi(s, 1);
                ROW(j, n) gv[j] += (at[j] < 0) | (at[j] == T(t)) ? back[j] : T(0);
            }
            g.add(g.grad_output, s, t, gv);
            g.add(g.grad_potentials, s, t, gv);
        }
    }
}

template <class T> I retreat(const I* given) {
    Retreat<T> g(given);
    const I samples = g.grad_v.a, n = g.grad_v.b, steps = g.steps;
    const bool has_current = g.flags & CURRENT, to_zero = g.flags & RESET_ZERO, attached = g.flags & RESET_ATTACHED,
               delayed = g.flags & DELAYED;
    if (!(g.flags & SPIKING)) return retreat_integrator(g), 0;
    const T *R decay_syn = g.coefficients(0), *R decay_mem = g.coefficients(1), *R gain = g.coefficients(2), *R v_th = g.coefficients(3);
    T *later = g.scratch(0), *back = g.scratch(1), *kept = g.scratch(2);
    // Samples go together in one product; otherwise what one works with stays close by.
    const I together = g.many ? samples : 1;
    for (I begin = 0; begin < samples; begin += together) for (I t = steps - 1; t >= 0; --t) {
        for (I s = begin; s < begin + together; ++s) {
            const I row = s * steps + t;
            T *R gv = g.grad_v(s), *R b = back + s * n, *R d = g.delta(s, t), *R after = later + s * n;
            if (g.many || delayed || !g.recurrent) std::fill(b, b + n, T(0));
            if (delayed) {
                if (t + 1 < steps)
                    std::memcpy(after, g.delta(s, t + 1), n * sizeof(T));
                else
                    std::fill(after, after + n, T(0));
            }
            if (attached) {
                T* R extra = kept + s * n;
                if (to_zero) {
                    const T *R x = g.currents(s, t), *R p = g.potentials(s, t);
                    ROW(j, n) extra[j] = gv[j] * (decay_mem[j] * p[j] + gain[j] * x[j]);
                } else
                    ROW(j, n) extra[j] = gv[j] * v_th[j];
            }
            if (to_zero)
                for (I e = g.spike_pointer.p[row]; e < g.spike_pointer.p[row + 1]; ++e) {
                    ONE_BY_ONE;
                    gv[g.spike_index.p[e]] *= T(0);
                }
            if (has_current) {
                T* R gi = g.grad_second(s);
                ROW(j, n) {
                    d[j] = gi[j];
                    gi[j] = decay_syn[j] * gi[j] + gain[j] * gv[j];
                }
            } else
                ROW(j, n) d[j] = gain[j] * gv[j];
            if (g.many && !delayed) std::memcpy(after, d, n * sizeof(T));
        }
        if (g.many) product(later, samples, n, g.w_rec.p, n, back);
        for (I s = begin; s < begin + together; ++s) {
            T *R gv = g.grad_v(s), *R b = back + s * n, *R d = g.delta(s, t);
            const T* R h = g.psi(s, t);
            if (g.recurrent && !g.many) g.send_back(s, t, delayed ? later + s * n : d, b);
            if (delayed && t == steps - 1) {
                const T* R z = g.grad_z(s);
                ROW(j, n) b[j] += z[j];
            }
            if (attached) {
                const T* R extra = kept + s * n;
                ROW(j, n) b[j] -= extra[j];
            }
            if (!g.grad_coefficients.empty()) {
                const T *R x = g.currents(s, t), *R p = g.potentials(s, t);
                T* R sums = g.grad_coefficients(s);
                ROW(j, n) {
                    sums[n + j] += gv[j] * p[j];
                    sums[2 * n + j] += gv[j] * x[j];
                }
                if (has_current) ROW(j, n) sums[j] += d[j] * x[j];
                T* R lowered = sums + 3 * n;
                ROW(j, n) lowered[j] -= b[j] * h[j];
                if (!g.grad_output.empty()) {
                    const T* R from = g.grad_output(s, t);
                    ROW(j, n) lowered[j] -= from[j] * h[j];
                }
                if (!to_zero)
                    for (I e = g.spike_pointer.p[s * steps + t]; e < g.spike_pointer.p[s * steps + t + 1]; ++e) {
                        ONE_BY_ONE;
                        lowered[g.spike_index.p[e]] -= gv[g.spike_index.p[e]];
                    }
            }
            if (!g.grad_output.empty()) {
                const T* R from = g.grad_output(s, t);
                ROW(j, n) gv[j] = decay_mem[j] * gv[j] + (b[j] + from[j]) * h[j];
            } else
                ROW(j, n) gv[j] = decay_mem[j] * gv[j] + b[j] * h[j];
            g.add(g.grad_potentials, s, t, gv);
        }
    }
    return 0;
}

template <class T> I retreat_alif(const I* given) {
    Retreat<T> g(given);
    const I samples = g.grad_v.a, n = g.grad_v.b;
    const T *R decay_mem = g.coefficients(0), *R gain = g.coefficients(1), *R decay_adapt = g.coefficients(2),
            *R rise = g.coefficients(3), *R beta = g.coefficients(4), *R v_th = g.coefficients(5), *R unit = g.coefficients(6);
    const T zero = g.flags & RESET_ZERO ? 1 : 0, subtract = T(1) - zero, crossed = g.flags & THRESHOLD_CROSSED ? subtract : T(0),
            late = g.flags & ADAPTS_LATE ? 1 : 0, relative = g.flags & ARGUMENT_RELATIVE ? 1 : 0,
            attached = g.flags & RESET_ATTACHED ? 1 : 0;
    const bool wants = !g.grad_coefficients.empty();
    T *later = g.scratch(0), *back = g.scratch(1), *R z = g.scratch(2);
    for (I t = g.steps - 1; t >= 0; --t) {
        EACH(s, samples) {
            T *R gv = g.grad_v(s), *R d = g.delta(s, t), *R b = back + s * n, *R after = later + s * n;
            g.mark(s, t, z);
            ROW(j, n) {
                b[j] = 0;
                d[j] = gain[j] * (gv[j] * (T(1) - zero * z[j]));
                after[j] = d[j];
            }
        }
        if (g.many) product(later, samples, n, g.w_rec.p, n, back);
        EACH(s, samples) {
            T *R gv = g.grad_v(s), *R ga = g.grad_second(s), *R b = back + s * n, *d = g.delta(s, t);
            const T *R h = g.psi(s, t), *R v = g.potentials(s, t), *R a = g.seconds(s, t), *R cur = g.currents(s, t);
            g.mark(s, t, z);
            if (g.recurrent && !g.many) g.send_back(s, t, d, b);
            g.add(g.grad_output, s, t, b);
            T* R sums = wants ? g.grad_coefficients(s) : nullptr;
            if (wants)
                ROW(j, n) {
                    const T gu = gv[j] * (T(1) - zero * z[j]), next_a = decay_adapt[j] * a[j] + rise[j] * z[j],
                            height = -gv[j] * z[j] * crossed, above = ga[j] + late * beta[j] * height;
                    sums[j] += gu * v[j];
                    sums[n + j] += gu * cur[j];
                    sums[2 * n + j] += above * a[j];
                    sums[3 * n + j] += above * z[j];
                    sums[4 * n + j] += height * (a[j] + late * (next_a - a[j]));
                    sums[5 * n + j] -= subtract * gv[j] * z[j];
                }
            ROW(j, n) {
                const T gu = gv[j] * (T(1) - zero * z[j]), felt = a[j] + late * (decay_adapt[j] * a[j] + rise[j] * z[j] - a[j]);
                const T amount = zero * (decay_mem[j] * v[j] + gain[j] * cur[j]) + subtract * (v_th[j] + crossed * beta[j] * felt);
                const T height = -gv[j] * z[j] * crossed, above = ga[j] + late * beta[j] * height;
                const T gz = b[j] - attached * gv[j] * amount + rise[j] * above;
                const T divisor = relative * (v_th[j] + beta[j] * a[j]) + (T(1) - relative) * unit[j], gx = gz * h[j] / divisor;
                const T lifted = -gx * (relative * (v[j] / divisor) + (T(1) - relative));
                b[j] = lifted;
                gv[j] = decay_mem[j] * gu + gx;
                ga[j] = decay_adapt[j] * above + (T(1) - late) * beta[j] * height + beta[j] * lifted;
            }
            if (wants)
                ROW(j, n) {
                    sums[4 * n + j] += b[j] * a[j];
                    sums[5 * n + j] += b[j];
                    sums[6 * n + j] += b[j] * (v[j] - v_th[j] - beta[j] * a[j]) / unit[j];
                }
            g.add(g.grad_potentials, s, t, gv);
        }
    }
    return 0;
}

template <class T> I retreat_adlif(const I* given) {
    Retreat<T> g(given);
    const I samples = g.grad_v.a, n = g.grad_v.b;
    const T *R decay_mem = g.coefficients(0), *R gain = g.coefficients(1), *R decay_adapt = g.coefficients(2),
            *R drawn = g.coefficients(3), *R by_v = g.coefficients(4), *R by_z = g.coefficients(5), *R v_th = g.coefficients(6);
    const T zero = g.flags & RESET_ZERO ? 1 : 0, subtract = T(1) - zero, late = g.flags & ADAPTS_LATE ? 1 : 0,
            unreset = g.flags & DRIVEN_BY_POTENTIAL ? 1 : 0, attached = g.flags & RESET_ATTACHED ? 1 : 0;
    const bool wants = !g.grad_coefficients.empty();
    T *later = g.scratch(0), *back = g.scratch(1), *R z = g.scratch(2);
    for (I t = g.steps - 1; t >= 0; --t) {
        EACH(s, samples) {
            T *R gv = g.grad_v(s), *R d = g.delta(s, t), *R b = back + s * n, *R after = later + s * n;
            ROW(j, n) {
                b[j] = 0;
                d[j] = gain[j] * gv[j];
                after[j] = d[j];
            }
        }
        if (g.many) product(later, samples, n, g.w_rec.p, n, back);
        EACH(s, samples) {
            T *R gv = g.grad_v(s), *R gw = g.grad_second(s), *R b = back + s * n, *d = g.delta(s, t);
            const T *R h = g.psi(s, t), *R v = g.potentials(s, t), *R w = g.seconds(s, t), *R cur = g.currents(s, t);
            g.mark(s, t, z);
            if (g.recurrent && !g.many) g.send_back(s, t, d, b);
            g.add(g.grad_output, s, t, b);
            if (wants) {
                T* R sums = g.grad_coefficients(s);
                ROW(j, n) {
                    const T u = v[j] * (T(1) - zero * z[j]) - subtract * (z[j] * v_th[j]), y = u + unreset * (v[j] - u),
                            driven = by_v[j] * y + by_z[j] * z[j],
                            felt = w[j] + (T(1) - late) * (decay_adapt[j] * w[j] + drawn[j] * driven - w[j]),
                            above = gw[j] - (T(1) - late) * d[j],
                            gu = decay_mem[j] * gv[j] + (T(1) - unreset) * above * drawn[j] * by_v[j];
                    sums[6 * n + j] -= subtract * gu * z[j];
                    sums[j] += gv[j] * u;
                    sums[n + j] += gv[j] * (cur[j] - felt);
                    sums[2 * n + j] += above * w[j];
                    sums[3 * n + j] += above * driven;
                    sums[4 * n + j] += above * drawn[j] * y;
                    sums[5 * n + j] += above * drawn[j] * z[j];
                }
            }
            ROW(j, n) {
                const T above = gw[j] - (T(1) - late) * d[j], pulled = above * drawn[j] * by_v[j],
                        gu = decay_mem[j] * gv[j] + (T(1) - unreset) * pulled, amount = zero * v[j] + subtract * v_th[j],
                        gz = b[j] + above * drawn[j] * by_z[j] - attached * gu * amount;
                gw[j] = decay_adapt[j] * above - late * d[j];
                b[j] = gz * h[j];
                gv[j] = gu * (T(1) - zero * z[j]) + unreset * pulled + b[j];
            }
            if (wants) ROW(j, n) g.grad_coefficients(s)[6 * n + j] -= b[j];
            g.add(g.grad_potentials, s, t, gv);
        }
    }
    return 0;
}

#endif

// The loops of ../../metrics/_loops__numba.py.

// Three words lose what the events e to stop do not leave open. Four are looked at before anybody asks whether that was all.
inline void leave(I e, I stop, const J* R index, const I* R absent, const I* R near, I* R open) {
    I a = open[0], b = open[1], c = open[2];
    if (e + 4 <= stop) {
        const I *i = absent + 3 * index[e], *j = absent + 3 * index[e + 1];
        const I *k = absent + 3 * index[e + 2], *m = absent + 3 * index[e + 3];
        a &= (i[0] & j[0]) & (k[0] & m[0]);
        b &= (i[1] & j[1]) & (k[1] & m[1]);
        c &= (i[2] & j[2]) & (k[2] & m[2]);
        e += 4;
    }
    for (; e < stop && ((a & near[0]) | (b & near[1]) | (c & near[2])) != 0; ++e) {
        const I* i = absent + 3 * index[e];
        a &= i[0], b &= i[1], c &= i[2];
    }
    open[0] = a, open[1] = b, open[2] = c;
}

template <class T> I reach(const I* given) {
    Given g = {given};
    auto pointer = g.array<I>();
    auto index = g.array<J>();
    auto absent = g.array<I>(), near = g.array<I>(), pointer_b = g.array<I>();
    auto index_b = g.array<J>();
    auto absent_b = g.array<I>(), near_b = g.array<I>();
    const I two = g.number();
    auto waiting = g.array<I>();
    auto done = g.array<uint8_t>();
    auto still = g.array<I>(), missing = g.array<I>();
    const I is_first = g.number(), is_last = g.number();
    EACH(n, waiting.a) EACH(r, done.a) {
        if (done.p[r]) continue;
        I open[3];
        std::copy_n(is_first ? waiting(n) : still(r, n), 3, open);
        leave(pointer.p[r], pointer.p[r + 1], index.p, absent(n), near(n), open);
        if (two) leave(pointer_b.p[r], pointer_b.p[r + 1], index_b.p, absent_b(n), near_b(n), open);
        if (!is_last) std::copy_n(open, 3, still(r, n));
        else if (open[0] | open[1] | open[2]) EACH(w, 3) missing(n)[w] += __builtin_popcountll(open[w]);
    }
    return 0;
}

template <class T> I passed_by_one(const I* given) {
    Given g = {given};
    auto index = g.array<J>();
    auto numbers = g.array<I>();
    I a = 0, b = 0;
    const I pairs = index.a / 2 * 2;
    for (I k = 0; k < pairs; k += 2) a += numbers.p[index.p[k]], b += numbers.p[index.p[k + 1]];
    for (I k = pairs; k < index.a; ++k) a += numbers.p[index.p[k]];
    return a + b;
}

template <class T> I passed_by_two(const I* given) {
    Given g = {given};
    auto index = g.array<J>();
    auto numbers = g.array<I>(), others = g.array<I>(), out = g.array<I>();
    I a = 0, b = 0;
    EACH(k, index.a) a += numbers.p[index.p[k]], b += others.p[index.p[k]];
    out.p[0] = a, out.p[1] = b;
    return 0;
}

template <class T> I steps_with_events(const I* given) {
    Given g = {given};
    auto one = g.array<I>(), other = g.array<I>();
    I steps = 0;
    EACH(r, one.a - 1) steps += (one.p[r + 1] != one.p[r]) | (other.p[r + 1] != other.p[r]);
    return steps;
}

template <class T> I differ(const I* given) {
    Given g = {given};
    auto weight = g.array<T>();
    auto there = g.array<uint8_t>();
    uint8_t found = 0;
    EACH(k, weight.a) found |= there.p[k] ^ uint8_t(weight.p[k] != T(0));
    return found;
}

}  // namespace

#define LOOP(name)                                                                \
    extern "C" int64_t name##_float32(const int64_t* g) { return name<float>(g); } \
    extern "C" int64_t name##_float64(const int64_t* g) { return name<double>(g); }

// A surrogate's h(x) as the body of a function of x and its parameters p.
#define SURROGATE(name, ...)                                                     \
    namespace {                                                                  \
    template <class T> T h_##name(T x, const T* p) { __VA_ARGS__ }                \
    template <class T> I of_##name(const I* given) {                              \
        Given g = {given};                                                       \
        auto v = g.array<T>(), v_th = g.array<T>(), p = g.array<T>(), out = g.array<T>(); \
        EACH(k, v.a) out.p[k] = h_##name<T>(v.p[k] - v_th.p[0], p.p);             \
        return 0;                                                                \
    }                                                                            \
    }                                                                            \
    extern "C" int64_t h_##name##_float32(const int64_t* g) { return of_##name<float>(g); } \
    extern "C" int64_t h_##name##_float64(const int64_t* g) { return of_##name<double>(g); }

#if PART == 1
LOOP(events) LOOP(not_finite) LOOP(add) LOOP(count_some) LOOP(silence) LOOP(turn) LOOP(project) LOOP(pack) LOOP(unpack) LOOP(advance) LOOP(advance_alif) LOOP(advance_adlif)
LOOP(reach) LOOP(passed_by_one) LOOP(passed_by_two) LOOP(steps_with_events) LOOP(differ)
#else
LOOP(weight_gradient) LOOP(send_on) LOOP(retreat) LOOP(retreat_alif) LOOP(retreat_adlif)
#endif
