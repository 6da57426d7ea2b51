package kafkawire

import (
	"context"
	"fmt"
)

// apiKey numbers a request type.
type apiKey int16

const (
	apiProduce            apiKey = 0
	apiFetch              apiKey = 1
	apiListOffsets        apiKey = 2
	apiMetadata           apiKey = 3
	apiOffsetCommit       apiKey = 8
	apiOffsetFetch        apiKey = 9
	apiFindCoordinator    apiKey = 10
	apiJoinGroup          apiKey = 11
	apiHeartbeat          apiKey = 12
	apiLeaveGroup         apiKey = 13
	apiSyncGroup          apiKey = 14
	apiVersions           apiKey = 18
	apiCreateTopics       apiKey = 19
	apiInitProducerID     apiKey = 22
	apiAddPartitionsToTxn apiKey = 24
	apiAddOffsetsToTxn    apiKey = 25
	apiEndTxn             apiKey = 26
	apiTxnOffsetCommit    apiKey = 28
	apiDescribeConfigs    apiKey = 32
	apiDescribeTxns       apiKey = 65
	apiListTxns           apiKey = 66
)

// apiInfo is what this client speaks of an API; versions from flex on are
// flexible (KIP-482).
type apiInfo struct {
	name           string
	min, max, flex int16
}

// apis reaches from Kafka 2.7 to 4.x. A version is in it only when its layout
// is encoded and decoded here and compared with another client's in the tests.
var apis = map[apiKey]apiInfo{
	apiProduce:            {"Produce", 3, 12, 9},             // 13 names topics by id
	apiFetch:              {"Fetch", 12, 13, 12},             // 13: by topic id; 14 and later bring nothing to a consumer
	apiListOffsets:        {"ListOffsets", 5, 7, 6},          // 4: leader epoch
	apiMetadata:           {"Metadata", 9, 12, 9},            // 10: topic ids (2.8)
	apiOffsetCommit:       {"OffsetCommit", 7, 8, 8},         // 7: static members; 9 is for KIP-848 groups
	apiOffsetFetch:        {"OffsetFetch", 7, 7, 6},          // 7: RequireStable (KIP-447); 8 has another layout
	apiFindCoordinator:    {"FindCoordinator", 3, 3, 3},      // 4 asks for several keys at once
	apiJoinGroup:          {"JoinGroup", 7, 9, 6},            // 9: skipAssignment (KIP-814)
	apiHeartbeat:          {"Heartbeat", 4, 4, 4},            //
	apiLeaveGroup:         {"LeaveGroup", 4, 4, 4},           //
	apiSyncGroup:          {"SyncGroup", 5, 5, 4},            //
	apiVersions:           {"ApiVersions", 3, 3, 3},          // 3: finalized features (KIP-584)
	apiCreateTopics:       {"CreateTopics", 5, 7, 5},         //
	apiInitProducerID:     {"InitProducerId", 3, 4, 2},       // 3: own id and epoch (KIP-360)
	apiDescribeConfigs:    {"DescribeConfigs", 1, 4, 4},      //
	apiAddPartitionsToTxn: {"AddPartitionsToTxn", 2, 3, 3},   // 4 and 5 are for brokers
	apiAddOffsetsToTxn:    {"AddOffsetsToTxn", 2, 3, 3},      //
	apiEndTxn:             {"EndTxn", 2, 5, 3},               // 5: the epoch bump (KIP-890)
	apiTxnOffsetCommit:    {"TxnOffsetCommit", 3, 5, 3},      // 3: generation and member (KIP-447); 5: KIP-890
	apiDescribeTxns:       {"DescribeTransactions", 0, 0, 0}, // KIP-664
	apiListTxns:           {"ListTransactions", 0, 0, 0},     // later ones filter by more
}

// VersionRange is what a broker offers of an API.
type VersionRange struct{ Min, Max int16 }

// BrokerVersions is a broker's answer to ApiVersions.
type BrokerVersions struct {
	// APIs is by API key.
	APIs map[int16]VersionRange
	// Features are the cluster's finalized features, such as
	// transaction.version (KIP-584).
	Features map[string]int16
}

// choose is the highest version of an API that both sides speak, within lo and
// hi as well.
func (v *BrokerVersions) choose(api apiKey, addr string, lo, hi int16) (int16, error) {
	have, ok := v.APIs[int16(api)]
	if !ok {
		return 0, &UnsupportedError{apis[api].name, addr, -1, -1, lo, hi}
	}
	version := min(hi, have.Max)
	if version < max(lo, have.Min) {
		return 0, &UnsupportedError{apis[api].name, addr, have.Min, have.Max, lo, hi}
	}
	return version, nil
}

// ApiVersions says which versions a broker offers; asked once per connection
// state: again after a network failure or an UNSUPPORTED_VERSION.
//
//nolint:revive // the name of the request in the protocol guide
func (c *Client) ApiVersions(ctx context.Context, node int32) (*BrokerVersions, error) {
	p, err := c.peer(ctx, node, apiVersions)
	if err != nil {
		return nil, err
	}
	return c.versions(ctx, p)
}

// versions returns the peer's versions, asking once however many callers wait.
func (c *Client) versions(ctx context.Context, p *peer) (*BrokerVersions, error) {
	if v := p.versions.Load(); v != nil {
		return v, nil
	}
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return nil, c.netError(ctx, p, apiVersions, ctx.Err())
	}
	if v := p.versions.Load(); v != nil {
		return v, nil
	}
	r, err := c.exchange(ctx, p, &request{api: apiVersions, encode: encodeAPIVersions}, apis[apiVersions].max)
	if err != nil {
		return nil, err
	}
	v, throttle, code, err := decodeAPIVersions(r)
	if err == nil && code == ErrUnsupportedVersion {
		err = &UnsupportedError{"ApiVersions", p.addr, 0, 2, 3, 3}
		return nil, err
	}
	if err != nil {
		return nil, c.netError(ctx, p, apiVersions, err)
	}
	if code != ErrNone {
		return nil, fmt.Errorf("ApiVersions of %s: %w", p.addr, code)
	}
	c.throttled(p, apiVersions, throttle)
	p.versions.Store(v)
	return v, nil
}

func encodeAPIVersions(w *wireWriter) {
	w.string(softwareName)
	w.string(softwareVersion)
	w.tags()
}

func decodeAPIVersions(r *wireReader) (v *BrokerVersions, throttleMillis int32, code ErrorCode, err error) {
	v = &BrokerVersions{APIs: map[int16]VersionRange{}, Features: map[string]int16{}}
	code = ErrorCode(r.int16())
	if code == ErrUnsupportedVersion {
		return v, 0, code, nil // in the layout of version 0 (KIP-511)
	}
	for n := r.arrayLen(7); n > 0 && r.err == nil; n-- {
		key := r.int16()
		v.APIs[key] = VersionRange{r.int16(), r.int16()}
		r.tags()
	}
	throttleMillis = r.int32()
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		tag := r.uvarint()
		field := wireReader{b: r.take(int(r.uvarint()), "tagged field"), flex: true}
		if tag != 2 || r.err != nil {
			continue
		}
		for n := field.arrayLen(6); n > 0 && field.err == nil; n-- {
			name := field.string()
			v.Features[name] = field.int16()
			field.int16() // the lowest finalized level
			field.tags()
		}
		r.err = field.err
	}
	return v, throttleMillis, code, r.err
}
