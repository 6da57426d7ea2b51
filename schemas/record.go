package schemas

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is the item as it came: a Kafka record, or a row of a file. Key, Value
// and the header values alias the source's buffer and are valid until the item
// is settled. A nil Value is a tombstone.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	// Timestamp is the record's time in Unix milliseconds (LogAppendTime where
	// the topic says so), -1 when it has none.
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Header returns the last value of a header, nil and false when absent.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Request is a decoded record: one value per model input, in the signature's
// order. Requests are pooled: decoding reuses the tensors' memory. The data of a raw
// payload is lent by the record.
type Request struct {
	// ID is the JSON token that is echoed in the result, such as "a1" or 42,
	// quotes included.
	ID []byte
	// Rows is how many rows of the batch axis this item holds, 1 unless the
	// codec says otherwise.
	Rows int
	// Single is true when the payload left the batch dimension out: the result
	// leaves it out as well.
	Single bool
	Inputs []Tensor
	// Lent says that the inputs' data is the record's value itself: to be read as
	// long as the record is valid, never to be written.
	Lent bool
	// Include is a ready JSON object (copied input fields) or nil.
	Include []byte
	// Outputs names the outputs the request asks for; empty means all.
	Outputs []string
	// ModelName and ModelVersion are what the request names, "" when it names none.
	ModelName, ModelVersion string
	// Deadline in Unix milliseconds, 0 for none.
	Deadline int64
	// Priority is what the request asks for (an Open Inference Protocol
	// parameter), 0 when it does not ask.
	Priority int64
	// Codec is the codec that decoded this request; the result uses it too
	// unless the configuration says otherwise.
	Codec string
}

// GiveBack lets go of what belongs to the record: call it before a request that
// was decoded from a record outlives it, as in a pool.
func (r *Request) GiveBack() {
	if !r.Lent {
		return
	}
	for i := range r.Inputs {
		r.Inputs[i].Data = nil
	}
	r.Lent = false
}

// Result is what the model made of one request.
type Result struct {
	Outputs []Output
}
