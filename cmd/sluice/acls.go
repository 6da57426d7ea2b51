package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
)

// grant is a right that the service needs on one resource.
type grant struct {
	Resource   string   `json:"resource"` // topic, group or transactional-id
	Name       string   `json:"name"`
	Prefixed   bool     `json:"prefixed"` // Name is the beginning of many names
	Operations []string `json:"operations"`
	Why        string   `json:"why"`
	Optional   bool     `json:"optional"` // run goes without
}

// arguments are the grant's part of a kafka-acls.sh command.
func (g *grant) arguments() string {
	var s strings.Builder
	for _, o := range g.Operations {
		s.WriteString("--operation " + o + " ")
	}
	s.WriteString("--" + g.Resource + " " + shellWord(g.Name))
	if g.Prefixed {
		s.WriteString(" --resource-pattern-type prefixed")
	}
	return s.String()
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:,") == "" && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// command is what an administrator types.
func (g *grant) command(brokers []string, principal string) string {
	return fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal %s %s",
		strings.Join(brokers, ","), shellWord("User:"+principal), g.arguments())
}

// topicGrant is what a topic's use needs.
func topicGrant(use topicUse) grant {
	if use.role == "input" {
		return grant{Resource: "topic", Name: use.name, Operations: []string{"Read", "Describe"}, Why: "fetch the input"}
	}
	return grant{Resource: "topic", Name: use.name, Operations: []string{"Write", "Describe"}, Why: "write " + use.role + " records"}
}

func groupGrant(cfg *config.Config) grant {
	return grant{Resource: "group", Name: cfg.Input.Group, Operations: []string{"Read", "Describe"}, Why: "join the group and commit offsets"}
}

// transactionGrant is by prefix: processes without an instance name make one up,
// and an instance ends what another one that died left open.
func transactionGrant(cfg *config.Config) grant {
	return grant{
		Resource: "transactional-id", Name: cfg.Transaction.IDPrefix + "-" + cfg.Input.Group + "-", Prefixed: true,
		Operations: []string{"Write", "Describe"}, Why: "commit outputs and offsets together",
	}
}

// grantsOf lists all that a configuration needs; a configuration that passes its
// check has no topic in two roles.
func grantsOf(cfg *config.Config) []grant {
	var list []grant
	uses := topicsOf(cfg)
	for _, u := range uses {
		list = append(list, topicGrant(u))
	}
	list = append(list, groupGrant(cfg))
	if cfg.Output.Delivery == config.ExactlyOnce {
		list = append(list, transactionGrant(cfg))
	}
	for _, u := range uses {
		list = append(list, grant{
			Resource: "topic", Name: u.name, Operations: []string{"DescribeConfigs"},
			Why: "let check compare the limits and the replication of " + u.name, Optional: true,
		})
	}
	return list
}

func (a *app) aclsCommand() *cobra.Command {
	var flags sourceFlags
	var asJSON bool
	var user string
	cmd := &cobra.Command{
		Use:   "acls",
		Short: "Print the ACLs that run needs",
		Long: `Print the commands that give a user all that run needs with this configuration,
and nothing more. Nothing is asked of a broker and nothing is changed: pass the
lines on to whoever administers the cluster.`,
		Example: `  sluice acls -c sluice.yaml
  sluice acls -c sluice.yaml --user CN=scorer,OU=ml
  sluice acls -c sluice.yaml | sh
  sluice acls -c sluice.yaml --json | jq '.acls[] | select(.optional | not)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load(cmd, &flags, false)
			if err != nil {
				return err
			}
			if user == "" {
				user = principal(cfg)
			}
			grants := grantsOf(cfg)
			if asJSON {
				return printJSON(a.out, map[string]any{"principal": "User:" + user, "acls": grants})
			}
			return printGrants(a.out, grants, cfg.Kafka.Brokers, user)
		},
	}
	flags.register(cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&user, "user", "", "name of the principal (default: kafka.sasl.username; with mutual TLS the certificate's subject)")
	return cmd
}

// printGrants writes lines for a shell; what is optional is commented out.
func printGrants(out io.Writer, grants []grant, brokers []string, user string) error {
	for i := range grants {
		g := &grants[i]
		prefix, note := "", ""
		if g.Optional {
			prefix, note = "# ", " (optional)"
		}
		if _, err := fmt.Fprintf(out, "# %s%s\n%s%s\n", g.Why, note, prefix, g.command(brokers, user)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "# the idempotent producer, on brokers before 2.8 only (KIP-679)\n# kafka-acls.sh --bootstrap-server %s --add --allow-principal %s --operation IdempotentWrite --cluster\n",
		strings.Join(brokers, ","), shellWord("User:"+user))
	return err
}
