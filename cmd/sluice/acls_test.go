package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/internal/config"
)

func TestACLsAreTheCommandsOfAConfiguration(t *testing.T) {
	t.Parallel()
	got := sluice(t, "acls", "-c", configFile(t, "localhost:9092"), "--set", "input.topics=a,b", "--set", "output.topic=out",
		"--set", "dead_letter.topic=bad", "--set", "input.group=it's", "--user", "CN=me,O=x y")
	got.want(t, exitOK)
	const head = "kafka-acls.sh --bootstrap-server localhost:9092 --add --allow-principal 'User:CN=me,O=x y' "
	for _, line := range []string{
		head + "--operation Read --operation Describe --topic a",
		head + "--operation Read --operation Describe --topic b",
		head + "--operation Write --operation Describe --topic out",
		head + "--operation Write --operation Describe --topic bad",
		head + `--operation Read --operation Describe --group 'it'\''s'`,
		"# " + head + "--operation DescribeConfigs --topic bad",
	} {
		if !strings.Contains("\n"+got.out, "\n"+line+"\n") {
			t.Errorf("no line %q in\n%s", line, got.out)
		}
	}
}

func TestACLsOfTransactions(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{}
	cfg.Input.Group, cfg.Output.Delivery, cfg.Transaction.IDPrefix = "g", "exactly-once", "team"
	for _, g := range grantsOf(cfg) {
		if g.arguments() == "--operation Write --operation Describe --transactional-id team-g- --resource-pattern-type prefixed" {
			return
		}
	}
	t.Errorf("no grant for the transactional ids: %+v", grantsOf(cfg))
}

func TestACLsOfAnUnnamedUserSaySo(t *testing.T) {
	t.Parallel()
	got := sluice(t, "acls", "-c", configFile(t, "localhost:9092"), "--json")
	got.want(t, exitOK)
	var answer struct {
		Principal string  `json:"principal"`
		ACLs      []grant `json:"acls"`
	}
	if err := json.Unmarshal([]byte(got.out), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Principal != "User:NAME" || len(answer.ACLs) < 4 {
		t.Errorf("%+v", answer)
	}
}
