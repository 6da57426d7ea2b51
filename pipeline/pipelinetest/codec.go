package pipelinetest

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

var _ pipeline.Codec = Codec{}

// Codec reads values as numbers in decimal text with spaces between: one input
// "x" of shape [1,n]. The words "poison" and "panic" do what they say, a value
// that begins with "unencodable" fails or panics on the way out. The header
// x-deadline holds Unix milliseconds.
type Codec struct{}

// Decode implements pipeline.Codec.
func (Codec) Decode(rec *schemas.Record, req *schemas.Request) error {
	text := string(rec.Value)
	if text == "panic" {
		panic("codec: told to")
	}
	text = strings.TrimPrefix(text, "unencodable ")
	if d, ok := rec.Header("x-deadline"); ok {
		req.Deadline, _ = strconv.ParseInt(string(d), 10, 64)
	}
	if len(req.Inputs) != 1 {
		req.Inputs = make([]schemas.Tensor, 1)
	}
	x := &req.Inputs[0]
	x.Name, x.Type, x.Data = "x", schemas.FP32, x.Data[:0]
	for field := range strings.FieldsSeq(text) {
		v, err := strconv.ParseFloat(field, 32)
		if err != nil {
			return &schemas.Error{Class: schemas.Undecodable, Stage: schemas.StageDecode, Message: "not a number"}
		}
		x.Data = binary.LittleEndian.AppendUint32(x.Data, math.Float32bits(float32(v)))
	}
	x.Shape = append(x.Shape[:0], 1, int64(len(x.Data)/4))
	req.Rows = 1
	return nil
}

// Encode implements pipeline.Codec.
func (Codec) Encode(dst []byte, rec *schemas.Record, _ *schemas.Request, res *schemas.Result) (out []byte, contentType string, err error) {
	if strings.HasPrefix(string(rec.Value), "unencodable") {
		return nil, "", &schemas.Error{Class: schemas.EncodeFailed, Stage: schemas.StageEncode, Message: "told to"}
	}
	for i, v := range Floats(res.Outputs[0].Data) {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = strconv.AppendFloat(dst, float64(v), 'g', -1, 32)
	}
	return dst, "text/plain", nil
}

// Floats reads little-endian float32 data.
func Floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}

// DeadlineHeader is a header that Codec reads.
func DeadlineHeader(at time.Time) schemas.Header {
	return schemas.Header{Key: "x-deadline", Value: strconv.AppendInt(nil, at.UnixMilli(), 10)}
}
