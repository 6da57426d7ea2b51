package synthetic

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-ml/sluice/schemas"
)

// Input is one input of a model, with the names of its dimensions.
type Input struct {
	schemas.TensorSpec
	// DimNames is the name of each dimension, "" for none; nil for no names.
	DimNames []string
}

// Options say what the signature leaves open.
type Options struct {
	// Dims gives dimensions that vary, other than the rows, by the model's name
	// for them, or as input.axis where they have none: x.1.
	Dims map[string]int64
	// Ranges bounds the values of an input. Default: floats 0..1, whole numbers 0
	// and 1, which are safe for lookups and masks.
	Ranges map[string]Range
}

// Range is the values of an input: for floats Low is included and High is not,
// for whole numbers both are.
type Range struct{ Low, High float64 }

// ParseDim reads name=32.
func ParseDim(text string) (name string, size int64, err error) {
	name, number, ok := strings.Cut(text, "=")
	size, bad := strconv.ParseInt(number, 10, 64)
	if !ok || name == "" || bad != nil || size < 1 {
		return "", 0, fmt.Errorf("%q is no dimension; write name=32", text)
	}
	return name, size, nil
}

// ParseRange reads input=0..30000.
func ParseRange(text string) (input string, r Range, err error) {
	input, bounds, ok := strings.Cut(text, "=")
	low, high, both := strings.Cut(bounds, "..")
	r.Low, err = strconv.ParseFloat(low, 64)
	if err == nil {
		r.High, err = strconv.ParseFloat(high, 64)
	}
	if !ok || !both || input == "" || err != nil || !(r.Low <= r.High) || r.High-r.Low > 1<<62 {
		return "", Range{}, fmt.Errorf("%q is no range; write input=0..30000", text)
	}
	return input, r, nil
}

// resolve gives the shape of one row of the input, batch dimension included.
func resolve(in *Input, dims map[string]int64, used map[string]bool) ([]int64, error) {
	var errs []error
	shape := make([]int64, len(in.Shape))
	for axis, d := range in.Shape {
		shape[axis] = d
		switch {
		case axis == in.BatchAxis:
			shape[axis] = 1
		case d < 0:
			place, name := fmt.Sprintf("%s.%d", in.Name, axis), ""
			if axis < len(in.DimNames) {
				name = in.DimNames[axis]
			}
			switch {
			case dims[place] > 0:
				shape[axis], used[place] = dims[place], true
			case dims[name] > 0:
				shape[axis], used[name] = dims[name], true
			case name != "":
				errs = append(errs, fmt.Errorf("input %s: dimension %d (%s) may vary; say how long it is: --dim %s=32", in.Name, axis, name, name))
			default:
				errs = append(errs, fmt.Errorf("input %s: dimension %d may vary and has no name; say how long it is: --dim %s=32", in.Name, axis, place))
			}
		}
	}
	return shape, errors.Join(errs...)
}
