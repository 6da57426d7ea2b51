package schemas

// Tensor is one named tensor, row-major and without padding.
// Data is little-endian with len(Data) == elements * Type.Size(); a BYTES
// tensor has its elements in Strings and no Data.
type Tensor struct {
	Name    string
	Type    DataType
	Shape   []int64
	Data    []byte
	Strings []string
}

// Map is one ONNX map (a ZipMap row): Keys and Values have the same single
// dimension; keys are INT64 or BYTES.
type Map struct {
	Keys, Values Tensor
}

// Output is one named output of a model as it belongs to one item. Maps is set
// instead of Data when the model emits a sequence of maps: one map per row.
// Shape keeps the batch dimension (the item's rows) when HasRows is true; an
// output without a batch dimension goes whole to each item.
type Output struct {
	Tensor
	Maps    []Map
	HasRows bool
}

// TensorSpec describes one input or output of a model.
type TensorSpec struct {
	Name string
	Type DataType
	// Shape has -1 for a dimension that may vary, the batch dimension included.
	Shape []int64
	// BatchAxis is the axis along which rows are counted, -1 when there is none
	// (a scalar parameter, a constant output, an input shared by all rows).
	BatchAxis int
	// Sequence is true for a sequence-of-maps output (scikit-learn's ZipMap).
	Sequence bool
}

// Signature is what decoding, batching and encoding must know of a model.
type Signature struct {
	Inputs, Outputs []TensorSpec
	// Alone says that each item is run by itself; AloneReason says why, for
	// people ("batch_coupled: row 0 changes with its neighbours").
	Alone       bool
	AloneReason string
	// FixedRows is the batch size the model insists on (batches are padded up
	// to it), 0 when any number of rows is accepted.
	FixedRows int
	// Varying is true when an input has a dimension other than the batch that
	// may vary: only items of equal shape may share a batch.
	Varying bool
}

// Elements multiplies the dimensions; ok is false when one is negative or the
// product overflows int64.
func Elements(shape []int64) (n int64, ok bool) {
	n = 1
	for _, d := range shape {
		if d < 0 || (d != 0 && n > (1<<62)/d) {
			return 0, false
		}
		n *= d
	}
	return n, true
}
