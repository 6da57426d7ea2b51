package onnx

import (
	"fmt"
	"slices"
)

// candidate is a guess, from the declarations alone, of how a model counts
// rows. The probe tests it.
type candidate struct {
	axes      []int // per input, the axis that counts rows, -1 for none
	fixedRows int   // the number of rows that the model insists on, 0 for any
	alone     string
}

// guess reads the declarations: the batch is the dimension that may vary on
// axis 0 of the first input that has one; other inputs count rows where they
// have that name, or on an axis 0 that may vary too.
func guess(inputs, outputs []port) candidate {
	c := candidate{axes: make([]int, len(inputs))}
	first := slices.IndexFunc(inputs, func(p port) bool { return len(p.dims) > 0 && p.dims[0] < 0 })
	if first < 0 {
		return guessFixed(inputs, outputs, c)
	}
	symbol := inputs[first].symbols[0]
	for i := range inputs {
		c.axes[i] = rowAxis(inputs, i, symbol)
	}
	for i, axis := range c.axes {
		switch {
		case axis < 0:
			c.alone = fmt.Sprintf("shared_input: input %q has no rows, so that one value would hold for every item of a batch", inputs[i].name)
			return c
		case axis > 0 && c.alone == "":
			c.alone = fmt.Sprintf("batch_axis: input %q has its rows on axis %d, not on axis 0", inputs[i].name, axis)
		}
	}
	return c
}

func rowAxis(inputs []port, i int, symbol string) int {
	p := &inputs[i]
	if symbol != "" {
		if axis := slices.Index(p.symbols, symbol); axis >= 0 {
			return axis
		}
	}
	if len(p.dims) == 0 || p.dims[0] >= 0 {
		return -1
	}
	// A name that an earlier input has further right is that dimension's, as the
	// k of x [batch, k] and w [k, m].
	for j := range i {
		for a, s := range inputs[j].symbols {
			if a > 0 && s == p.symbols[0] && s != "" {
				return -1
			}
		}
	}
	return 0
}

// guessFixed: no axis 0 may vary. A number that all inputs and an output have
// on axis 0 is a fixed batch.
func guessFixed(inputs, outputs []port, c candidate) candidate {
	n := int64(0)
	for i := range inputs {
		if len(inputs[i].dims) >= 2 && n == 0 {
			n = inputs[i].dims[0]
		}
	}
	same := n > 0 && slices.ContainsFunc(outputs, func(p port) bool { return p.sequence || len(p.dims) > 0 && p.dims[0] == n })
	for i := range inputs {
		if len(inputs[i].dims) == 0 || inputs[i].dims[0] != n {
			same = false
		}
	}
	switch {
	case same:
		c.fixedRows = int(n)
		if n == 1 {
			c.alone = "fixed_batch: the model takes exactly one row"
		}
		return c
	default:
		for i := range c.axes {
			c.axes[i] = -1
		}
		c.alone = "no_batch: no input has a dimension that counts rows"
		return c
	}
}

// onAxis is the guess that every input counts rows on that axis; ok is false
// when one has no such axis that may vary.
func onAxis(inputs []port, axis int) (candidate, bool) {
	c := candidate{axes: make([]int, len(inputs))}
	for i := range inputs {
		if axis >= len(inputs[i].dims) || inputs[i].dims[axis] >= 0 {
			return c, false
		}
		c.axes[i] = axis
	}
	c.alone = fmt.Sprintf("batch_axis: input %q has its rows on axis %d, not on axis 0", inputs[0].name, axis)
	return c, true
}
