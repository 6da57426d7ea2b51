package main

import (
	"fmt"
	"slices"
)

// model is one of the zoo with its records, and the oracle of what must come out.
type model struct {
	file string
	sets []string
	// value is the id-th record.
	value func(id int) []byte
	// fails tells that the model's run fails with that record.
	fails func(id int) bool
	// want is the output y of a record.
	want func(id int) []float64
}

// affine is y = 2x+1, which fails with no record.
var affine = model{
	file:  "affine.onnx",
	value: func(id int) []byte { return fmt.Appendf(nil, `{"id":%d,"x":[1,2,3,%d]}`, id, id%1000) },
	fails: func(int) bool { return false },
	want:  func(id int) []float64 { return []float64{3, 5, 7, 2*float64(id%1000) + 1} },
}

// table is the weights of gather (zoo.py): one pair a row.
var table = [...][]float64{{-4. / 64, 2. / 64}, {-6. / 64, -2. / 64}, {6. / 64, 8. / 64}}

// gather looks a row of its table up, and has no row 7, which each fiftieth record
// asks for: its batch fails, and is split until that record stands alone.
var gather = model{
	file: "fails_on_data.onnx",
	sets: []string{"model.inputs.id=/row"},
	value: func(id int) []byte {
		row := id % len(table)
		if id%50 == 7 {
			row = 7
		}
		return fmt.Appendf(nil, `{"id":%d,"row":%d}`, id, row)
	},
	fails: func(id int) bool { return id%50 == 7 },
	want:  func(id int) []float64 { return table[id%len(table)] },
}

// deadly is affine with records that kill whoever runs them: two in 10,000, far enough
// apart that they do not stand in one partition one after the other.
var deadly = model{
	file: affine.file,
	value: func(id int) []byte {
		if kills(id) {
			return fmt.Appendf(nil, `{"id":%d,"x":[1,2,3,4],%s}`, id, deadlyMark)
		}
		return affine.value(id)
	},
	fails: kills,
	want:  affine.want,
}

const deadlyMark = `"abort":true`

func kills(id int) bool { return id%5000 == 1234 }

// right compares an output with the oracle's.
func (m *model) right(id int, y []float64) bool { return slices.Equal(y, m.want(id)) }
