package onnx

import (
	"math"

	"github.com/sluice-ml/sluice/schemas"
)

var scalarCase = zooCase{
	verdict: VerdictBatched,
	row:     func(r int) []schemas.Tensor { return []schemas.Tensor{f32("x", dims(1, 3), vec(r, 3)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		x := floats(&in[0])
		return []schemas.Output{rowOut(f32("score", dims(1), x[0]+x[1]+x[2]))}
	},
}

var imageCase = zooCase{
	verdict: VerdictBatched, tolerance: 1e-6,
	row: func(r int) []schemas.Tensor {
		pixels := make([]byte, 32*32*3)
		for i := range pixels {
			pixels[i] = byte(r*31 + i%3*17)
		}
		return []schemas.Tensor{raw("image", schemas.Uint8, dims(1, 32, 32, 3), pixels...)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		p := in[0].Data
		logits := times([]float32{float32(p[0]), float32(p[1]), float32(p[2])}, weights(3, 15))
		probabilities, sum := make([]float32, 5), 0.0
		for _, l := range logits {
			sum += math.Exp(float64(l))
		}
		for i, l := range logits {
			probabilities[i] = float32(math.Exp(float64(l)) / sum)
		}
		return []schemas.Output{rowOut(i64("label", dims(1), argmax(logits))), rowOut(f32("probabilities", dims(1, 5), probabilities...))}
	},
}

// tokensCase has three sequence lengths: only equal ones may share a run.
var tokensCase = zooCase{
	verdict: VerdictBatched, varying: true,
	row: func(r int) []schemas.Tensor {
		n := 2 + r%3
		ids, mask := make([]int64, n), make([]int64, n)
		for i := range ids {
			ids[i] = int64((r*71 + i*7) % 1000)
			if i < n-r%2 {
				mask[i] = 1
			}
		}
		return []schemas.Tensor{i64("input_ids", dims(1, int64(n)), ids...), i64("attention_mask", dims(1, int64(n)), mask...)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		table := weights(5, 16000)
		ids, mask := ints(&in[0]), ints(&in[1])
		y, count := make([]float32, 16), float32(0)
		for i, id := range ids {
			for j := range y {
				y[j] += table[int(id)*16+j] * float32(mask[i])
			}
			count += float32(mask[i])
		}
		for j := range y {
			y[j] /= max(count, 1)
		}
		return []schemas.Output{rowOut(f32("embedding", dims(1, 16), y...))}
	},
}

var stringInputCase = zooCase{
	verdict: VerdictBatched,
	row: func(r int) []schemas.Tensor {
		country := [...]string{"DE", "FR", "US", "XX", ""}[r%5]
		return []schemas.Tensor{text("country", dims(1, 1), country), f32("amount", dims(1, 1), float32(r)/8)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		code, ok := map[string]float32{"DE": 1, "FR": 2, "US": 3}[in[0].Strings[0]]
		if !ok {
			code = -1
		}
		return []schemas.Output{rowOut(f32("score", dims(1, 1), code+floats(&in[1])[0]))}
	},
}

var stringOutputCase = zooCase{
	verdict: VerdictBatched,
	row:     func(r int) []schemas.Tensor { return []schemas.Tensor{i64("x", dims(1), int64(r%4))} },
	want: func(in []schemas.Tensor) []schemas.Output {
		return []schemas.Output{rowOut(text("text", dims(1), [...]string{"zero", "one", "zwölf", "other"}[ints(&in[0])[0]]))}
	},
}

// nmsCase: no, one or two boxes far apart are found.
var nmsCase = zooCase{
	verdict: VerdictAlone, reason: "data_dependent_rows",
	row: func(r int) []schemas.Tensor {
		scores := [][]float32{{0.9, 0.8}, {0.1, 0.2}, {0.3, 0.7}}[r%3]
		return []schemas.Tensor{f32("boxes", dims(1, 2, 4), 0, 0, 1, 1, 5, 5, 6, 6), f32("scores", dims(1, 1, 2), scores...)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		var found []int64
		for i, s := range floats(&in[1]) {
			if s > 0.5 {
				found = append(found, 0, 0, int64(i))
			}
		}
		return []schemas.Output{wholeOut(i64("selected", dims(int64(len(found)/3), 3), found...))}
	},
}

var float16Case = zooCase{
	verdict: VerdictBatched,
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{f16("x", dims(1, 8), vec(r, 8)...)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		x := make([]float32, 8)
		for i := range x {
			x[i] = unhalf(in[0].Data[2*i:])
		}
		return []schemas.Output{rowOut(f16("y", dims(1, 4), times(x, weights(7, 32))...))}
	},
}

// unhalf reads a normal float16, or zero.
func unhalf(b []byte) float32 {
	v := uint32(b[0]) | uint32(b[1])<<8
	if v&0x7fff == 0 {
		return 0
	}
	return math.Float32frombits(v&0x8000<<16 | (v>>10&31+112)<<23 | v&0x3ff<<13)
}

var statefulCase = zooCase{
	verdict: VerdictAlone, reason: "batch_axis: input \"state\"",
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{f32("x", dims(1, 6), vec(r, 6)...), f32("state", dims(1, 1, 8), vec(r+5, 8)...)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		next, state := times(floats(&in[0]), weights(11, 48)), floats(&in[1])
		for i := range next {
			next[i] += state[i] / 2
		}
		out := rowOut(f32("stateN", dims(1, 1, 8), next...))
		return []schemas.Output{rowOut(f32("output", dims(1, 1), times(next, weights(13, 8))...)), out}
	},
}

var mixedCase = zooCase{
	verdict: VerdictBatched,
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{
			f32("f", dims(1, 2), vec(r, 2)...), i64("i", dims(1, 2), int64(r), int64(-r)), raw("flag", schemas.Bool, dims(1, 2), byte(r%2), 1),
		}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		f, i, flag := floats(&in[0]), ints(&in[1]), in[2].Data
		total, positive, rounded := make([]float64, 2), make([]byte, 2), make([]int32, 2)
		for k := range total {
			total[k] = float64(f[k]) + float64(i[k]) + float64(flag[k])
			if f[k] > 0 {
				positive[k] = 1
			}
			rounded[k] = int32(math.RoundToEven(float64(f[k])))
		}
		return []schemas.Output{
			rowOut(f64("total", dims(1, 2), total...)), rowOut(raw("positive", schemas.Bool, dims(1, 2), positive...)),
			rowOut(i32("rounded", dims(1, 2), rounded...)), wholeOut(i64("version", dims(1), 7)),
		}
	},
}

var rank0Case = zooCase{
	verdict: VerdictAlone, reason: "shared_input",
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{f32("x", dims(1, 2), vec(r, 2)...), f32("scale", dims(), float32(r+1))}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		x, scale := floats(&in[0]), floats(&in[1])[0]
		return []schemas.Output{rowOut(f32("y", dims(1, 2), x[0]*scale, x[1]*scale))}
	},
}

var slowLoopCase = zooCase{
	verdict: VerdictAlone, reason: "shared_input",
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{f32("x", dims(1, 256), vec(r, 256)...), i64("n", dims(), int64(r))}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		return []schemas.Output{rowOut(f32("y", dims(1, 256), shifted(int(ints(&in[1])[0]))(floats(&in[0]))...))}
	},
}

// mapsCase: the runtime sorts a map's keys; order is the place in x of each.
func mapsCase(keys func() schemas.Tensor, order ...int) zooCase {
	return zooCase{
		verdict: VerdictBatched,
		row:     func(r int) []schemas.Tensor { return []schemas.Tensor{f32("X", dims(1, 3), vec(r, 3)...)} },
		want: func(in []schemas.Tensor) []schemas.Output {
			x := floats(&in[0])
			maps := rowOut(schemas.Tensor{Name: "output_probability", Type: schemas.FP32})
			maps.Maps = []schemas.Map{{Keys: keys(), Values: f32("", dims(3), x[order[0]], x[order[1]], x[order[2]])}}
			return []schemas.Output{rowOut(i64("output_label", dims(1), argmax(x))), maps}
		},
	}
}

var labelCase = zooCase{
	verdict: VerdictBatched,
	row:     func(r int) []schemas.Tensor { return []schemas.Tensor{f32("features", dims(1, 3), vec(r, 3)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		x, w := floats(&in[0]), weights(41, 6)
		scores := []float32{x[0]*w[0] + x[1]*w[1] + x[2]*w[2], x[0]*w[3] + x[1]*w[4] + x[2]*w[5]}
		return []schemas.Output{rowOut(i64("label", dims(1), argmax(scores))), rowOut(f32("probabilities", dims(1, 2), scores...))}
	},
}

var axis1Case = zooCase{
	verdict: VerdictAlone, reason: "batch_axis", varying: true,
	row: func(r int) []schemas.Tensor { return []schemas.Tensor{f32("x", dims(3, 1, 2), vec(r, 6)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		x := floats(&in[0])
		return []schemas.Output{rowOut(f32("y", dims(1, 2), x[0]+x[2]+x[4], x[1]+x[3]+x[5]))}
	},
}

var nanCase = zooCase{
	verdict: VerdictBatched,
	row: func(r int) []schemas.Tensor {
		return []schemas.Tensor{f32("x", dims(1, 2), float32(r%3-1), 1)}
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		y := [...]float32{float32(math.NaN()), float32(math.Inf(-1)), 0}[int(floats(&in[0])[0])+1]
		return []schemas.Output{rowOut(f32("y", dims(1, 2), y, 0))}
	},
}

var meanCase = zooCase{
	verdict: VerdictAlone, reason: "batch_coupled: output \"mean\"",
	row: func(r int) []schemas.Tensor { return []schemas.Tensor{f32("x", dims(1, 2), vec(r, 2)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		x := floats(&in[0])
		return []schemas.Output{rowOut(f32("y", dims(1, 2), -x[0], -x[1])), wholeOut(f32("mean", dims(2), x...))}
	},
}

var typesCase = zooCase{
	verdict: VerdictBatched,
	row: func(r int) []schemas.Tensor {
		var in []schemas.Tensor
		for _, k := range []struct {
			name string
			t    schemas.DataType
		}{
			{"bool", schemas.Bool},
			{"uint8", schemas.Uint8},
			{"uint16", schemas.Uint16},
			{"uint32", schemas.Uint32},
			{"uint64", schemas.Uint64},
			{"int8", schemas.Int8},
			{"int16", schemas.Int16},
			{"int32", schemas.Int32},
			{"int64", schemas.Int64},
			{"fp16", schemas.FP16},
			{"fp32", schemas.FP32},
			{"fp64", schemas.FP64},
			{"bytes", schemas.Bytes},
			{"bf16", schemas.BF16},
		} {
			t := schemas.Tensor{Name: "in_" + k.name, Type: k.t, Shape: dims(1, 2)}
			switch k.t {
			case schemas.Bytes:
				t.Strings = []string{"", "é" + string(rune('a'+r))}
			case schemas.Bool:
				t.Data = []byte{byte(r % 2), 1}
			default:
				for i := range 2 * k.t.Size() {
					t.Data = append(t.Data, byte(r*7+i*3+1))
				}
			}
			in = append(in, t)
		}
		return in
	},
	want: func(in []schemas.Tensor) []schemas.Output {
		var out []schemas.Output
		for _, t := range in {
			t.Name = "out_" + t.Name[3:]
			out = append(out, rowOut(t))
		}
		return out
	},
}

var rank0OutCase = zooCase{
	verdict: VerdictBatched,
	row:     func(r int) []schemas.Tensor { return []schemas.Tensor{f32("x", dims(1, 2), vec(r, 2)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		x := floats(&in[0])
		abs := apply(func(x float32) float32 { return float32(math.Abs(float64(x))) })(x)
		return []schemas.Output{rowOut(f32("y", dims(1, 2), abs...)), wholeOut(f32("threshold", dims(), 0.25))}
	},
}

var oneRowCase = zooCase{
	verdict: VerdictAlone, reason: "one_row",
	row: func(r int) []schemas.Tensor { return []schemas.Tensor{f32("x", dims(1, 4), vec(r, 4)...)} },
	want: func(in []schemas.Tensor) []schemas.Output {
		return []schemas.Output{rowOut(f32("y", dims(1, 2, 2), floats(&in[0])...))}
	},
}
