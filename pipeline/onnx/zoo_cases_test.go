package onnx

import (
	"github.com/sluice-ml/sluice/schemas"
)

// zooCase is what must come of one file of the zoo.
type zooCase struct {
	verdict   string
	reason    string // how AloneReason begins
	fixedRows int
	varying   bool
	tolerance float64 // 0: every bit
	// row is the r-th message, one row; want is its answer.
	row  func(r int) []schemas.Tensor
	want func(in []schemas.Tensor) []schemas.Output
}

// rowOut is an output that has rows, wholeOut one that goes whole to each item.
func rowOut(t schemas.Tensor) schemas.Output   { return schemas.Output{Tensor: t, HasRows: true} }
func wholeOut(t schemas.Tensor) schemas.Output { return schemas.Output{Tensor: t} }

// vec makes n distinct small dyadic numbers for message r.
func vec(r, n int) []float32 {
	v := make([]float32, n)
	for j := range v {
		v[j] = float32((r*13+j*5)%23-11) / 8
	}
	return v
}

// oneFloat is a model of one float input x and one float output.
func oneFloat(in, out string, n int, f func(x []float32) []float32) (row func(int) []schemas.Tensor, want func([]schemas.Tensor) []schemas.Output) {
	row = func(r int) []schemas.Tensor { return []schemas.Tensor{f32(in, dims(1, int64(n)), vec(r, n)...)} }
	want = func(t []schemas.Tensor) []schemas.Output {
		y := f(floats(&t[0]))
		return []schemas.Output{rowOut(f32(out, dims(1, int64(len(y))), y...))}
	}
	return row, want
}

func apply(f func(float32) float32) func([]float32) []float32 {
	return func(x []float32) []float32 {
		y := make([]float32, len(x))
		for i := range x {
			y[i] = f(x[i])
		}
		return y
	}
}

// shifted is x moved n places to the right, cyclically.
func shifted(n int) func([]float32) []float32 {
	return func(x []float32) []float32 {
		y := make([]float32, len(x))
		for i := range x {
			y[(i+n)%len(x)] = x[i]
		}
		return y
	}
}

// times is x [k] times w [k][m] in float64 sums.
func times(x, w []float32) []float32 {
	m := len(w) / len(x)
	y := make([]float32, m)
	for j := range m {
		s := 0.0
		for k := range x {
			s += float64(x[k]) * float64(w[k*m+j])
		}
		y[j] = float32(s)
	}
	return y
}

func argmax(x []float32) int64 {
	best := 0
	for i := range x {
		if x[i] > x[best] {
			best = i
		}
	}
	return int64(best)
}

func simple(c zooCase, in, out string, n int, f func([]float32) []float32) zooCase {
	c.row, c.want = oneFloat(in, out, n, f)
	return c
}

func gatherCase(rows, seed int) zooCase {
	table := weights(seed, rows*2)
	return zooCase{
		verdict: VerdictBatched,
		row:     func(r int) []schemas.Tensor { return []schemas.Tensor{i64("id", dims(1), int64(r%rows))} },
		want: func(in []schemas.Tensor) []schemas.Output {
			id := ints(&in[0])[0]
			return []schemas.Output{rowOut(f32("y", dims(1, 2), table[2*id:2*id+2]...))}
		},
	}
}

func fixedCase(verdict, reason string, rows int) zooCase {
	b := weights(17, 8)
	return simple(zooCase{verdict: verdict, reason: reason, fixedRows: rows}, "x", "y", 8, func(x []float32) []float32 {
		y := make([]float32, 8)
		for i := range y {
			y[i] = x[i] + b[i]
		}
		return y
	})
}

func mlp(x []float32) []float32 {
	sizes := []int{784, 32, 32, 32, 32, 10}
	for i := range len(sizes) - 1 {
		y, b := times(x, weights(19+i, sizes[i]*sizes[i+1])), weights(29+i, sizes[i+1])
		for j := range y {
			y[j] += b[j]
			if i < len(sizes)-2 {
				y[j] = max(y[j], 0)
			}
		}
		x = y
	}
	return x
}

// zooCases has one entry for each file: a test fails when one is missing.
var zooCases = map[string]zooCase{
	"affine":           simple(zooCase{verdict: VerdictBatched}, "x", "y", 4, apply(func(x float32) float32 { return 2*x + 1 })),
	"scalar_per_row":   scalarCase,
	"image_uint8_nhwc": imageCase,
	"tokens_dyn":       tokensCase,
	"string_input":     stringInputCase,
	"string_output":    stringOutputCase,
	"detect_nms":       nmsCase,
	"float16":          float16Case,
	"stateful":         statefulCase,
	"fixed_batch1":     fixedCase(VerdictAlone, "fixed_batch", 1),
	"fixed_batch4":     fixedCase(VerdictBatched, "", 4),
	"mixed_io":         mixedCase,
	"gather_fails":     gatherCase(16, 37),
	"rank0_input":      rank0Case,
	"batch_coupled":    simple(zooCase{verdict: VerdictAlone, reason: "batch_coupled"}, "x", "y", 2, apply(func(float32) float32 { return 0 })),
	"mlp_784_32x4_10":  simple(zooCase{verdict: VerdictBatched, tolerance: 1e-5}, "h0", "y", 784, mlp),
	"slow_loop":        slowLoopCase,

	"seq_of_maps":        mapsCase(func() schemas.Tensor { return i64("", dims(3), 3, 5, 9) }, 0, 1, 2),
	"seq_of_strmaps":     mapsCase(func() schemas.Tensor { return text("", dims(3), "eggs", "ham", "spam") }, 1, 0, 2),
	"label_declared_one": labelCase,
	"batch_axis1":        axis1Case,
	"row_dropped":        {verdict: VerdictRefused, reason: "rows_dropped"},
	"unnamed_dims":       simple(zooCase{verdict: VerdictBatched}, "in.0", "out:0", 3, apply(func(x float32) float32 { return -x })),
	"fails_on_data":      gatherCase(3, 47),
	"nan_inf":            nanCase,
	"batch_mean":         meanCase,
	"dynamic_int8": simple(zooCase{verdict: VerdictAlone, reason: "batch_coupled", tolerance: 0.03}, "x", "y", 4, func(x []float32) []float32 {
		y := times(x, weights(43, 16))
		for i := range y {
			y[i] *= 64
		}
		return y
	}),
	"all_types":    typesCase,
	"rank0_output": rank0OutCase,
	"row_position": simple(zooCase{verdict: VerdictAlone, reason: "batch_coupled: output \"y\" of row 0 changes with its place"}, "x", "y", 2,
		apply(func(x float32) float32 { return x })),
	"one_row": oneRowCase,
	"tabular60": simple(zooCase{verdict: VerdictBatched}, "features", "score", 60, func(x []float32) []float32 {
		sum := float32(0) // of small dyadic numbers: exact in any order
		for i := range x {
			sum += x[i] * float32(i+1)
		}
		return []float32{sum}
	}),
	"slow": simple(zooCase{verdict: VerdictBatched}, "x", "y", 64, shifted(1000)),
}
