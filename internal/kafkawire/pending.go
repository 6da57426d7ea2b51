package kafkawire

import (
	"context"
	"errors"
)

var errPending = errors.New("not written yet")

func (c *Client) ListOffsets(ctx context.Context, topic string, partition int32, timestamp int64, readCommitted bool) (offset, ts int64, leaderEpoch int32, err error) {
	return -1, -1, -1, errPending
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
func (c *Client) CreateTopics(ctx context.Context, topics []NewTopic) error { return errPending }
func (c *Client) TopicConfig(ctx context.Context, topic string, keys ...string) (map[string]string, error) {
	return nil, errPending
}

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
