package kafkawire

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestFindCoordinatorIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiFindCoordinator, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		for kind, key := range []coordinatorKey{groupKey("g"), transactionKey("g")} {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorType = "g", int8(kind)
			wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeFindCoordinator(w, key) }), req, v)
		}
		res := kmsg.NewPtrFindCoordinatorResponse()
		res.ThrottleMillis, res.ErrorCode, res.ErrorMessage = 1, 15, kmsg.StringPtr("why")
		res.NodeID, res.Host, res.Port = 3, "h", 9
		r := answerOf(res, v, flex)
		node, message, throttle, code, err := decodeFindCoordinator(r)
		wantAll(t, r, err)
		if node != 3 || message != "why" || throttle != 1 || code != ErrCoordinatorNotAvailable {
			t.Fatal(node, message, throttle, code)
		}
	})
}

func TestJoinGroupIsEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiJoinGroup, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &JoinGroupRequest{
			Group: "g", SessionTimeout: time.Second, RebalanceTimeout: 2 * time.Second, InstanceID: "i",
			Protocols: []GroupProtocol{{"sticky", []byte("m")}, {"range", nil}}, Reason: "why",
		}
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "g", 1000, 2000
		req.InstanceID, req.ProtocolType, req.Reason = kmsg.StringPtr("i"), "consumer", kmsg.StringPtr("why")
		for _, p := range ours.Protocols {
			rp := kmsg.NewJoinGroupRequestProtocol()
			rp.Name, rp.Metadata = p.Name, p.Metadata
			req.Protocols = append(req.Protocols, rp)
		}
		wantBody(t, encodeBody(v, flex, ours.encode), req, v)

		res := kmsg.NewPtrJoinGroupResponse()
		res.ThrottleMillis, res.ErrorCode, res.Generation = 4, 79, 5
		res.ProtocolType, res.Protocol, res.LeaderID, res.MemberID = kmsg.StringPtr("consumer"), kmsg.StringPtr("sticky"), "l", "m"
		res.SkipAssignment = v >= 9
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID, m.ProtocolMetadata, m.UnknownTags = "l", kmsg.StringPtr("i"), []byte("s"), strayTags()
		res.Members = append(res.Members, m)
		r := answerOf(res, v, flex)
		got, throttle, err := decodeJoinGroup(r)
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(4))
		wantEqual(t, got, &JoinGroupResponse{
			ErrMemberIDRequired, 5, "sticky", "l", "m", v >= 9, []GroupMember{{"l", "i", []byte("s")}},
		})
	})
}

func TestGroupCallsAreEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiSyncGroup, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		ours := &SyncGroupRequest{"g", 3, "m", "", "sticky", []GroupAssignment{{"m", []byte("a")}}}
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.Generation, req.MemberID = "g", 3, "m"
		req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("sticky")
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = "m", []byte("a")
		req.GroupAssignment = append(req.GroupAssignment, a)
		wantBody(t, encodeBody(v, flex, ours.encode), req, v)
	})
	forVersions(t, apiHeartbeat, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.Generation, req.MemberID, req.InstanceID = "g", 3, "m", kmsg.StringPtr("i")
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeHeartbeat(w, "g", 3, "m", "i") }), req, v)
	})
	forVersions(t, apiLeaveGroup, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = "g"
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, m.InstanceID = "m", kmsg.StringPtr("i")
		req.Members = append(req.Members, m)
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeLeaveGroup(w, "g", "m", "i") }), req, v)

		res := kmsg.NewPtrLeaveGroupResponse()
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.ErrorCode = "m", 25
		res.Members = append(res.Members, rm)
		r := answerOf(res, v, flex)
		_, _ = r.int32(), r.int16()
		member := decodeLeaveGroup(r)
		wantAll(t, r, r.err)
		wantEqual(t, member, ErrUnknownMemberID)
	})
}

func TestAdminCallsAreEncodedAsOthersDo(t *testing.T) {
	t.Parallel()
	forVersions(t, apiCreateTopics, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = millis(createWait)
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "a", 3, -1
		for _, kv := range [][2]string{{"a", "1"}, {"b", "2"}} {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = kv[0], kmsg.StringPtr(kv[1])
			rt.Configs = append(rt.Configs, c)
		}
		req.Topics = append(req.Topics, rt)
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) {
			encodeCreateTopics(w, []NewTopic{{"a", 3, -1, map[string]string{"b": "2", "a": "1"}}})
		}), req, v)

		res := kmsg.NewPtrCreateTopicsResponse()
		res.ThrottleMillis = 1
		st := kmsg.NewCreateTopicsResponseTopic()
		st.Topic, st.ErrorCode, st.ErrorMessage = "a", 36, kmsg.StringPtr("exists")
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value = "k", kmsg.StringPtr("v")
		st.Configs = append(st.Configs, c)
		res.Topics = append(res.Topics, st)
		r := answerOf(res, v, flex)
		got, throttle, err := decodeCreateTopics(r)
		wantAll(t, r, err)
		wantEqual(t, throttle, int32(1))
		wantEqual(t, got, []createdTopic{{"a", ErrTopicExists, "exists"}})
	})
	forVersions(t, apiDescribeConfigs, func(t *testing.T, v int16, flex bool) {
		t.Helper()
		req := kmsg.NewPtrDescribeConfigsRequest()
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName, rr.ConfigNames = kmsg.ConfigResourceTypeTopic, "a", []string{"k"}
		req.Resources = append(req.Resources, rr)
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeDescribeConfigs(w, "a", []string{"k"}) }), req, v)
		req.Resources[0].ConfigNames = nil
		wantBody(t, encodeBody(v, flex, func(w *wireWriter) { encodeDescribeConfigs(w, "a", nil) }), req, v)

		res := kmsg.NewPtrDescribeConfigsResponse()
		sr := kmsg.NewDescribeConfigsResponseResource()
		sr.ErrorCode, sr.ErrorMessage, sr.ResourceName = 3, kmsg.StringPtr("why"), "a"
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value = "k", kmsg.StringPtr("v")
		syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		syn.Name = "s"
		c.ConfigSynonyms = append(c.ConfigSynonyms, syn)
		sr.Configs = append(sr.Configs, c)
		res.Resources = append(res.Resources, sr)
		r := answerOf(res, v, flex)
		got, err := decodeDescribeConfigs(r)
		wantAll(t, r, err)
		wantEqual(t, got, describedConfig{0, ErrUnknownTopicOrPartition, "why", map[string]string{"k": "v"}})
	})
}
