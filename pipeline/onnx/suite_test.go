package onnx

import (
	"testing"

	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

// TestModelSuite: what every pipeline.Model promises, for models that batch, pad,
// run alone, and carry strings and maps.
func TestModelSuite(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{
		"affine": 20, "mlp_784_32x4_10": 8, "fixed_batch4": 9, "string_input": 8, "seq_of_strmaps": 8,
		"float16": 8, "detect_nms": 1, "stateful": 1, "rank0_input": 1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pipelinetest.RunModelSuite(t, func(t *testing.T) pipelinetest.ModelSubject {
				t.Helper()
				return pipelinetest.ModelSubject{
					Model: load(t, name), Rows: rows,
					NewRequest: func(i int) schemas.Request {
						return schemas.Request{Rows: 1, Single: true, Inputs: zooCases[name].row(i)}
					},
				}
			})
		})
	}
}
