package schemas

// Class names why an item was dead-lettered; it is the x-error-class header.
type Class string

// The classes, fixed by convention.
const (
	Undecodable            Class = "undecodable"
	WrongName              Class = "wrong_name"
	WrongType              Class = "wrong_type"
	WrongShape             Class = "wrong_shape"
	NonFinite              Class = "non_finite"
	TooLarge               Class = "too_large"
	UnsupportedContentType Class = "unsupported_content_type"
	UnknownModel           Class = "unknown_model"
	RunFailed              Class = "run_failed"
	RunTimeout             Class = "run_timeout"
	EncodeFailed           Class = "encode_failed"
	OutputTooLarge         Class = "output_too_large"
	Expired                Class = "expired"
	Panic                  Class = "panic"
)

// Stage names where an item failed; it is the stage of its dead letter.
type Stage string

// The stages, fixed by convention.
const (
	StageDecode   Stage = "decode"
	StageValidate Stage = "validate"
	StageInfer    Stage = "infer"
	StageEncode   Stage = "encode"
	StageProduce  Stage = "produce"
)

// Error is an item's own fault: it becomes a dead letter at once, without a
// retry. Message is for people and holds no payload fragments.
type Error struct {
	Class   Class
	Stage   Stage
	Message string
}

// Error implements error.
func (e *Error) Error() string { return string(e.Stage) + ": " + string(e.Class) + ": " + e.Message }
