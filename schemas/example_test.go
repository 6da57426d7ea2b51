package schemas_test

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/sluice-ml/sluice/schemas"
)

// iris is a model with one input of four features and one output of three
// probabilities a row.
var iris = &schemas.Signature{
	Inputs:  []schemas.TensorSpec{{Name: "features", Type: schemas.FP32, Shape: []int64{-1, 4}}},
	Outputs: []schemas.TensorSpec{{Name: "probabilities", Type: schemas.FP32, Shape: []int64{-1, 3}}},
}

func ExampleCodec() {
	codec, err := schemas.NewCodec(schemas.CodecConfig{
		Signature: iris, ModelName: "iris", ModelVersion: "1",
		Include: []string{"/plant"},
		Labels:  []string{"setosa", "versicolor", "virginica"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	rec := &schemas.Record{Topic: "flowers", Value: []byte(`{"id": "f-1", "plant": 7, "features": [5.1, 3.5, 1.4, 0.2]}`)}
	var req schemas.Request
	if err := codec.Decode(rec, &req); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(req.Inputs[0].Shape, hex.EncodeToString(req.Inputs[0].Data[:4]))

	res := &schemas.Result{Outputs: []schemas.Output{{
		HasRows: true,
		Tensor: schemas.Tensor{
			Name: "probabilities", Type: schemas.FP32, Shape: []int64{1, 3},
			Data: []byte{0, 0, 0x40, 0x3f, 0, 0, 0x80, 0x3e, 0, 0, 0, 0}, // 0.75 0.25 0
		},
	}}}
	out, contentType, err := codec.Encode(nil, rec, &req, res)
	fmt.Println(contentType, err)
	fmt.Println(string(out))
	// Output:
	// [1 4] 3333a340
	// application/json <nil>
	// {"id":"f-1","model":"iris","version":"1","outputs":{"probabilities":[0.75,0.25,0]},"label":"setosa","include":{"plant":7}}
}

// Four named fields feed one input.
func ExampleNewCodec() {
	codec, err := schemas.NewCodec(schemas.CodecConfig{
		Signature: iris,
		Inputs: map[string]schemas.InputMapping{"features": {Fields: []schemas.Field{
			{Path: "/sepal/length"}, {Path: "/sepal/width"}, {Path: "/petal/length"}, {Path: "/petal/width", Default: []byte("0.1")},
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var req schemas.Request
	fmt.Println(codec.Decode(&schemas.Record{Value: []byte(`{"sepal": {"length": 5.1, "width": 3.5}, "petal": {"length": 1.4}}`)}, &req))
	err = codec.Decode(&schemas.Record{Value: []byte(`{"sepal": {"length": 5.1}, "petal": {"length": 1.4}}`)}, &req)
	fmt.Println(err)
	var fault *schemas.Error
	fmt.Println(errors.As(err, &fault), fault.Class)
	// Output:
	// <nil>
	// validate: wrong_name: there is no /sepal/width for element 1 of input "features"
	// true wrong_name
}

func ExampleOutcomeID() {
	topic := [16]byte{0x4f, 0x2b}
	fmt.Println(string(schemas.OutcomeID(nil, "4L6g3nShT-eMCtK--X86sw", topic, 3, 1042, "fraud")))
	// Output: 7f75d910ac838928472e6b0f35206c43
}

func ExampleCutDeadLetter() {
	rec := &schemas.Record{Topic: "in", Partition: 1, Offset: 42, Headers: []schemas.Header{{Key: "tenant", Value: []byte("a")}}}
	headers := schemas.DeadLetterHeaders(nil, rec, schemas.DeadLetterInfo{
		Group:     "scorer",
		Error:     schemas.Error{Class: schemas.Undecodable, Stage: schemas.StageDecode, Message: "the value is not JSON"},
		ModelName: "fraud", ModelVersion: "1",
	})
	original, info, _ := schemas.CutDeadLetter(headers)
	fmt.Println(len(headers), len(original), original[0].Key)
	fmt.Println(info.Topic, info.Partition, info.Offset, info.Error.Class)
	// Output:
	// 14 1 tenant
	// in 1 42 undecodable
}
