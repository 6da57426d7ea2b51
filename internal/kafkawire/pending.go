package kafkawire

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

var errPending = errors.New("not written yet")

func NewClient(cfg Config) (*Client, error)                     { return nil, errPending }
func (c *Client) Close()                                        {}
func (c *Client) ClusterID(ctx context.Context) (string, error) { return "", errPending }
func (m *Metadata) Topic(name string) *TopicMeta                { return nil }
func (c *Client) Forget(topic string)                           {}
func (c *Client) ForgetCoordinator(group string)                {}
func (c *Client) Metadata(ctx context.Context, topics ...string) (*Metadata, error) {
	return nil, errPending
}
func (c *Client) Leader(ctx context.Context, topic string, partition int32) (node, epoch int32, err error) {
	return -1, -1, errPending
}
func (c *Client) Fetch(ctx context.Context, node int32, req *FetchRequest) (*FetchResponse, error) {
	return nil, errPending
}
func (c *Client) ListOffsets(ctx context.Context, topic string, partition int32, timestamp int64, readCommitted bool) (offset, ts int64, leaderEpoch int32, err error) {
	return -1, -1, -1, errPending
}
func (c *Client) FindCoordinator(ctx context.Context, group string) (node int32, err error) {
	return -1, errPending
}
func (c *Client) OffsetFetch(ctx context.Context, group string, parts map[string][]int32, requireStable bool) ([]GroupOffset, error) {
	return nil, errPending
}
func (c *Client) OffsetCommit(ctx context.Context, node int32, req *OffsetCommitRequest) ([]GroupOffset, error) {
	return nil, errPending
}
func (c *Client) JoinGroup(ctx context.Context, node int32, req *JoinGroupRequest) (*JoinGroupResponse, error) {
	return nil, errPending
}
func (c *Client) SyncGroup(ctx context.Context, node int32, req *SyncGroupRequest) ([]byte, error) {
	return nil, errPending
}
func (c *Client) Heartbeat(ctx context.Context, node int32, group string, generation int32, memberID, instanceID string) error {
	return errPending
}
func (c *Client) LeaveGroup(ctx context.Context, node int32, group, memberID, instanceID string) error {
	return errPending
}
func (c *Client) Produce(ctx context.Context, node int32, req *ProduceRequest) (*ProduceResponse, error) {
	return nil, errPending
}
func (c *Client) InitProducerID(ctx context.Context, transactionalID string, txnTimeout time.Duration, pid int64, epoch int16) (int64, int16, error) {
	return -1, -1, errPending
}
func (c *Client) CreateTopics(ctx context.Context, topics []NewTopic) error { return errPending }
func (c *Client) TopicConfig(ctx context.Context, topic string, keys ...string) (map[string]string, error) {
	return nil, errPending
}

type Codec int8

const (
	CodecNone Codec = iota
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

func ParseCodec(name string) (Codec, error)                                             { return 0, errPending }
func (h *BatchHeader) Codec() Codec                                                     { return 0 }
func (h *BatchHeader) LogAppendTime() bool                                              { return false }
func (h *BatchHeader) Transactional() bool                                              { return false }
func (h *BatchHeader) Control() bool                                                    { return false }
func (h *BatchHeader) LastOffset() int64                                                { return 0 }
func NextBatch(records []byte) (b RawBatch, rest []byte, err error)                     { return b, nil, errPending }
func (b *RawBatch) Decompress(dst []byte, limit int64) ([]byte, error)                  { return nil, errPending }
func (b *RawBatch) Records(payload []byte) RecordReader                                 { return RecordReader{} }
func (r *RecordReader) Next(rec *WireRecord) (bool, error)                              { return false, errPending }
func NewAbortedFilter(aborted []AbortedTxn) *AbortedFilter                              { return &AbortedFilter{} }
func (f *AbortedFilter) Drop(b *RawBatch, payload []byte) bool                          { return false }
func (w *BatchWriter) Reset()                                                           {}
func (w *BatchWriter) Append(ts int64, key, value []byte, headers []schemas.Header) int { return 0 }
func (w *BatchWriter) Len() int                                                         { return 0 }
func (w *BatchWriter) Bytes() int                                                       { return 0 }
func (w *BatchWriter) Finish(codec Codec, pid int64, epoch int16, seq int32) ([]byte, error) {
	return nil, errPending
}

type CorruptError struct {
	Offset int64
	Why    string
}

func (e *CorruptError) Error() string { return e.Why }

var ErrTooLarge = errors.New("decompressed batch is larger than the limit")

func Murmur2(key []byte) uint32               { return 0 }
func PartitionForKey(key []byte, n int) int32 { return 0 }

type Security struct {
	TLS  TLSConfig
	SASL SASLConfig
}
type TLSConfig struct {
	Enabled                               bool
	CAFile, CertFile, KeyFile, ServerName string
}
type SASLConfig struct {
	Mechanism, Username, PasswordFile string
	Password                          Secret
}
type Secret string

func (s Security) Apply(cfg *Config) error { return errPending }
