"""The arithmetic of the cuda engine as Triton kernels: WaveNet steps of several streams, and their audio.

In: pointers to packed weights, state, conditions and noise. Out: values, distributions, audio. Knows no torch and no
spec: sizes are compile-time constants that livemove.synthesis.cuda has padded to powers of two, pads filled with zeros.
Runs per sample: nothing here allocates, and the host is not asked between the first and the last step of a launch.

How the work is cut, reckoned from bytes and clocks of an H100 at 1.75 GHz (none was at hand to measure):
- A step reads every weight once: 1.73 MB of float16 (classic), 0.63 MB (stage). They stay in L2. One multiprocessor
  draws 64 bytes a clock from L2 and 128 from its shared memory: 15.5 and 7.7 us a step for classic, 5.6 and 2.8 for
  stage. The loads run ahead of the products (cp.async, STAGES layers deep), since no address depends on a sample.
- A layer is a chain of four products, the longest of them 0.15 us: two for filter and gate together, one for all that
  skips, one for the residual; with barriers and the gate about 0.6 us. So about 16 us a step for classic, bound by L2
  and chain alike, and 7.5 us for stage: 60,000 samples/s and 40 times real time for one stream.
- A program plays N = 8 streams, each in two columns (see `matmul`): m64n16k16, bound by reading its left side, so that
  eight streams cost what one does. More streams are more programs on other multiprocessors, which wait for nobody.
- One stream over several multiprocessors is held up by what they say to one another, 0.7 us through L2: cut by role,
  two exchanges a step, it would gain a third. Where multiprocessors can write into one another's shared memory
  (compute capability 9.0), native/cuda_wavenet.cu, played if asked for, does that instead; see there.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportPossiblyUnboundVariable=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def matmul(a, b, accumulator):
    """accumulator [m, n] + a [m, k] @ b [k, n] in float32 (never tf32); or a in float16, and b in two halves.

    b rounded to float16 would leave 68 dB between signal and error. What the rounding takes away stands in the next
    column, in float16 too: 22 bits through tensor cores, and no weight is read twice.
    """
    if a.dtype == tl.float16:
        M: tl.constexpr = a.shape[0]
        K: tl.constexpr = b.shape[0]
        N: tl.constexpr = b.shape[1]
        high = b.to(tl.float16)
        low = (b - high.to(tl.float32)).to(tl.float16)
        if K < 32:  # Triton 3.9 has no Hopper layout for so short a joined operand
            accumulator = tl.dot(a, low, tl.dot(a, high, accumulator))
        else:
            both = tl.dot(a, tl.reshape(tl.join(high, low), [K, 2 * N]))
            of_high, of_low = tl.split(tl.reshape(both, [M, N, 2]))
            accumulator += of_high + of_low
    else:
        accumulator = tl.dot(a, b, accumulator, input_precision="ieee")
    return accumulator


@triton.jit
def places(STRIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Offsets [ROWS, COLUMNS] in a matrix whose rows are STRIDE apart."""
    return tl.arange(0, ROWS)[:, None] * STRIDE + tl.arange(0, COLUMNS)[None, :]


@triton.jit
def bias_of(pointer, ROWS: tl.constexpr, N: tl.constexpr):
    """A vector as the start of a sum [ROWS, N]."""
    return tl.load(pointer + tl.arange(0, ROWS))[:, None] + tl.zeros([ROWS, N], tl.float32)


@triton.jit
def first_above(weights, threshold, LAST: tl.constexpr, AXIS: tl.constexpr):
    """Index of the first class whose cumulative weight along AXIS exceeds threshold (a share of the whole), or LAST."""
    cumulative = tl.cumsum(weights, AXIS)
    whole = tl.max(cumulative, AXIS)
    not_above = cumulative <= tl.expand_dims(threshold * whole, AXIS)
    return tl.minimum(tl.sum(not_above.to(tl.int32), AXIS), LAST)


@triton.jit
def phase_features(cycles, hz, rate, HARMONICS: tl.constexpr, WIDTH: tl.constexpr, FADE_LOW, FADE_HIGH):
    """conditioning.phase_features as [WIDTH, streams]: sines, cosines, zeros. cycles, hz, rate float64 [streams]."""
    row = tl.arange(0, WIDTH)
    multiple = (row % HARMONICS + 1).to(tl.float64)[:, None]
    turns = multiple * cycles[None, :]
    angle = ((turns - tl.floor(turns)) * 6.283185307179586).to(tl.float32)
    gain = (FADE_HIGH - (multiple * hz[None, :] / rate).to(tl.float32)) / (FADE_HIGH - FADE_LOW)
    wave = tl.where((row < HARMONICS)[:, None], tl.sin(angle), tl.cos(angle))
    return tl.where((row < 2 * HARMONICS)[:, None], tl.minimum(tl.maximum(gain, 0.0), 1.0) * wave, 0.0)


@triton.jit
def draw_class(logits, noise, temperature, CLASSES: tl.constexpr, PARAMETERS: tl.constexpr):
    """sampling.categorical: class int32 [streams] from logits [PARAMETERS, streams]; rows past CLASSES are pads."""
    inside = (tl.arange(0, PARAMETERS) < CLASSES)[:, None]
    logits = tl.where(inside, logits, float("-inf"))
    weights = tl.exp((logits - tl.max(logits, 0)[None, :]) / temperature[None, :])
    return first_above(weights, noise, CLASSES - 1, 0)


@triton.jit
def draw_mixture(
    logits, means, log_scales, choice, uniform, temperature, MIXTURES: tl.constexpr, MARGIN, LOG_SCALE_FLOOR
):
    """sampling.sample for logistics: values [bands, streams] in -1..1 from parameters [bands, mixtures, streams]."""
    PADDED: tl.constexpr = logits.shape[1]
    mixture = tl.arange(0, PADDED)[None, :, None]
    logits = tl.where(mixture < MIXTURES, logits, float("-inf"))
    weights = tl.exp((logits - tl.max(logits, 1)[:, None, :]) / temperature[None, None, :])
    chosen = mixture == first_above(weights, choice, MIXTURES - 1, 1)[:, None, :]
    mean = tl.sum(tl.where(chosen, means, 0.0), 1)
    log_scale = tl.maximum(tl.sum(tl.where(chosen, log_scales, 0.0), 1), LOG_SCALE_FLOOR)
    u = tl.minimum(tl.maximum(uniform, MARGIN), 1.0 - MARGIN)
    value = mean + tl.exp(log_scale) * temperature[None, :] * (tl.log(u) - tl.log(1.0 - u))
    return tl.minimum(tl.maximum(value, -1.0), 1.0)


@triton.jit(do_not_specialize=["start", "hops"])
def network(
    input_weight, input_bias, phase_weight, path_weight, layer_weight,
    residual_weight, residual_bias, skip_weight, skip_bias,
    head_1, head_bias_1, head_2, head_bias_2, rings,
    queues, inputs, values, phases,
    conditions, hz, noise, temperatures, offsets, gates, drawn, parameters,
    start, hops, step_rate, sample_rate, FADE_LOW, FADE_HIGH, MARGIN, LOG_SCALE_FLOOR,
    MULAW: tl.constexpr, BANDS: tl.constexpr, CLASSES: tl.constexpr, MIXTURES: tl.constexpr, HARMONICS: tl.constexpr,
    PATH: tl.constexpr,
    STEPS: tl.constexpr, LAYERS: tl.constexpr, VALUES: tl.constexpr, TRACE: tl.constexpr,
    B: tl.constexpr, F: tl.constexpr, R: tl.constexpr, S: tl.constexpr, A: tl.constexpr, M: tl.constexpr,
    N: tl.constexpr, SLICE: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """hops * STEPS steps of N streams per program.

    Activations are [width, N]: a weight that has come from L2 serves all N streams. Padded sizes: B bands, F phase
    features, R residual, S skip, A hidden, M parameters (mulaw: classes; logistic: mixtures of one band).
    """
    streams = tl.program_id(0) * N + tl.arange(0, N)
    all_streams = tl.num_programs(0) * N
    b, r, m = tl.arange(0, B), tl.arange(0, R), tl.arange(0, M)
    square, onto_gates, onto_skip = places(R, R, R), places(R, 2 * R, R), places(R, S, R)
    onto_hidden = places(S, SLICE, S)
    lanes = streams[None, :] * R + r[:, None]
    own = streams[None, :] * (LAYERS * 2 * R) + tl.arange(0, 2 * R)[:, None]
    temperature = tl.load(temperatures + streams)
    phase = tl.load(phases + streams)
    if MULAW:
        value = streams * B
        older = tl.load(inputs + value).to(tl.int32)
        newest = tl.load(inputs + all_streams * B + value).to(tl.int32)
        onto_logits = places(A, M, SLICE)
    else:
        value = streams[None, :] * B + b[:, None]
        older = tl.load(inputs + value)
        newest = tl.load(inputs + all_streams * B + value)
        onto_input, onto_logits = places(B, R, B), places(A, B * M, SLICE)
        choice_noise = streams[None, :] * (2 * B) + b[:, None]
    if HARMONICS > 0:
        onto_phase = places(F, R, F)

    for hop in range(hops):
        condition = conditions + hop * all_streams * (LAYERS * 2 * R)
        pitch = tl.load(hz + hop * all_streams + streams)
        opening = tl.load(gates + hop * all_streams + streams)
        for step in range(STEPS):
            at = hop * STEPS + step
            t = start + at
            if MULAW:
                h = bias_of(input_bias, R, N)
                h += tl.load(input_weight + older[None, :] * R + r[:, None])
                h += tl.load(input_weight + CLASSES * R + newest[None, :] * R + r[:, None])
            else:
                h = matmul(tl.load(input_weight + onto_input), older, bias_of(input_bias, R, N))
                h = matmul(tl.load(input_weight + R * B + onto_input), newest, h)
            if HARMONICS > 0:
                cycles = phase + (pitch / step_rate) * (step + 1)
                features = phase_features(cycles, pitch, sample_rate, HARMONICS, F, FADE_LOW, FADE_HIGH)
                h = matmul(tl.load(phase_weight + onto_phase), features, h)
            if PATH:
                offset = tl.load(offsets + at * all_streams * B + value)
                h = matmul(tl.load(path_weight + onto_input), offset, h)

            skip = bias_of(skip_bias, S, N)
            for layer in tl.range(0, LAYERS, num_stages=STAGES):
                ring = rings + layer * 3
                row, mask, dilation = tl.load(ring), tl.load(ring + 1), tl.load(ring + 2)
                # A ring is longer than its dilation: the row read is never the row written.
                past = tl.load(queues + (row + ((t - dilation) & mask)) * all_streams * R + lanes)
                tl.store(queues + (row + (t & mask)) * all_streams * R + lanes, h)
                z_weight = layer_weight + layer * (4 * R * R) + onto_gates
                z = matmul(tl.load(z_weight), past, tl.load(condition + layer * (2 * R) + own))
                z = matmul(tl.load(z_weight + 2 * R * R), h, z)
                # Filter and gate in one product, then apart: a thread holds the same rows of both, nothing moves.
                filtered, gate = tl.split(tl.permute(tl.reshape(z, [2, R, N]), [1, 2, 0]))
                g = (2.0 * sigmoid(2.0 * filtered) - 1.0) * sigmoid(gate)
                skip = matmul(tl.load(skip_weight + layer * (S * R) + onto_skip), g, skip)
                h += tl.load(residual_bias + layer * R + r)[:, None]
                h = matmul(tl.load(residual_weight + layer * (R * R) + square), g, h)
            skip = tl.maximum(skip, 0.0)

            # The head, a slice of its hidden units at a time: the next one's weights come while this one's are used.
            older = newest
            if MULAW:
                logits = bias_of(head_bias_2, M, N)
                for first in tl.range(0, A, SLICE, num_stages=STAGES):
                    bias = bias_of(head_bias_1 + first, SLICE, N)
                    hidden = tl.maximum(matmul(tl.load(head_1 + first * S + onto_hidden), skip, bias), 0.0)
                    logits = matmul(tl.load(head_2 + first + onto_logits), hidden, logits)
                newest = draw_class(logits, tl.load(noise + at * all_streams + streams), temperature, CLASSES, M)
                tl.store(values + (t & (VALUES - 1)) * all_streams * B + value, newest.to(tl.float32))
                tl.store(drawn + at * all_streams * B + value, newest.to(tl.float32))
                if TRACE:
                    traced = parameters + (at * all_streams + streams)[None, :] * CLASSES + m[:, None]
                    tl.store(traced, logits, mask=(m < CLASSES)[:, None])
            else:
                logits, means = bias_of(head_bias_2, B * M, N), bias_of(head_bias_2 + B * M, B * M, N)
                log_scales = bias_of(head_bias_2 + 2 * B * M, B * M, N)
                for first in tl.range(0, A, SLICE, num_stages=STAGES):
                    bias = bias_of(head_bias_1 + first, SLICE, N)
                    hidden = tl.maximum(matmul(tl.load(head_1 + first * S + onto_hidden), skip, bias), 0.0)
                    rows = head_2 + first + onto_logits
                    logits = matmul(tl.load(rows), hidden, logits)
                    means = matmul(tl.load(rows + B * M * A), hidden, means)
                    log_scales = matmul(tl.load(rows + 2 * B * M * A), hidden, log_scales)
                logits, means = tl.reshape(logits, [B, M, N]), tl.reshape(means, [B, M, N])
                log_scales = tl.reshape(log_scales, [B, M, N])
                if PATH:
                    means += offset[:, None, :]
                uniform = noise + at * all_streams * (2 * B) + choice_noise
                newest = draw_mixture(
                    logits, means, log_scales, tl.load(uniform), tl.load(uniform + B), temperature,
                    MIXTURES, MARGIN, LOG_SCALE_FLOOR,
                )  # fmt: skip
                tl.store(values + (t & (VALUES - 1)) * all_streams * B + value, newest * opening[None, :])
                tl.store(drawn + at * all_streams * B + value, newest)
                if PATH:
                    newest -= offset
                if TRACE:
                    traced = parameters + (at * all_streams + streams)[None, None, :] * (BANDS * 3 * MIXTURES)
                    traced += b[:, None, None] * (3 * MIXTURES) + m[None, :, None]
                    real = (b[:, None, None] < BANDS) & (m[None, :, None] < MIXTURES)
                    tl.store(traced, logits, mask=real)
                    tl.store(traced + MIXTURES, means, mask=real)
                    tl.store(traced + 2 * MIXTURES, log_scales, mask=real)
            # What one thread has put into a queue, another takes out in the next step.
            tl.debug_barrier()
        if HARMONICS > 0:
            phase += STEPS * (pitch / step_rate)
            phase -= tl.floor(phase)
    tl.store(phases + streams, phase)
    tl.store(inputs + value, older.to(tl.float32))
    tl.store(inputs + all_streams * B + value, newest.to(tl.float32))


@triton.jit(do_not_specialize=["start"])
def bands_to_audio(
    values, filters, audio, start, all_streams,
    BANDS: tl.constexpr, B: tl.constexpr, STEPS: tl.constexpr, AGES: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """PQMF synthesis (livemove.synthesis.pqmf) of one hop of one stream per program: grid (streams, hops).

    filters [AGES, B, B]: band -> sample, scaled by bands.scale; audio [streams, hops * STEPS * BANDS]. Always float32.
    """
    stream, hop = tl.program_id(0), tl.program_id(1)
    step, b, square = tl.arange(0, STEPS), tl.arange(0, B), places(B, B, B)
    out = tl.zeros([STEPS, B], tl.float32)
    for age in range(AGES):
        row = (start + hop * STEPS + step - age) & (VALUES - 1)
        history = tl.load(values + (row[:, None] * all_streams + stream) * B + b[None, :])
        out = tl.dot(history, tl.load(filters + age * (B * B) + square), out, input_precision="ieee")
    first = audio + (stream * tl.num_programs(1) + hop) * STEPS * BANDS
    tl.store(first + step[:, None] * BANDS + b[None, :], out, mask=(b < BANDS)[None, :])


@triton.jit(do_not_specialize=["start"])
def levels_to_audio(
    values, levels, gates, audio, start, all_streams,
    MULAW: tl.constexpr, B: tl.constexpr, STEPS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """One hop of one one-band stream per program. mulaw: levels is the decoding table; logistic: the band's scale.

    gates [hops, all_streams] are for mu-law: what values [...] holds of a logistic band is gated already.
    """
    stream, hop = tl.program_id(0), tl.program_id(1)
    step = tl.arange(0, STEPS)
    row = (start + hop * STEPS + step) & (VALUES - 1)
    value = tl.load(values + (row * all_streams + stream) * B)
    if MULAW:
        sample = tl.load(levels + value.to(tl.int32)) * tl.load(gates + hop * all_streams + stream)
    else:
        sample = value * tl.load(levels)
    tl.store(audio + (stream * tl.num_programs(1) + hop) * STEPS + step, sample)
